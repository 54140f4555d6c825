"""What training would make of records: how many it reads and leaves out, of which classes, kinds and sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cluster.sources import Source
from train_app.config import TrainConfig
from train_app.data.near import THRESHOLD, Near, sketch
from train_app.data.sizes import Sizes, SizesBy
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample

_SHOWN_PAIRS = 5


class Check:
    """What was found in records, as they are added."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self.intake = Intake(config.max_record_bytes)
        self._all, self._kinds, self._classes = Sizes(), SizesBy(), SizesBy()
        self._near, self._places = Near(), list[str]()
        self._near_records = 0
        self._pairs: list[dict[str, str]] = []

    def add(self, row: dict[str, Any]) -> None:
        """One record, good or not."""
        sample = self.intake.sample(row)
        if sample is None:
            return
        self._all.add(sample)
        self._kinds.add(sample.kind.label, sample)
        if sample.group:
            self._classes.add(sample.group, sample)
        self._compare(sample, row["place"])

    def _compare(self, sample: Sample, place: str) -> None:
        self._places.append(place)
        own = sketch(sample.compared)
        found = self._near.find(own)
        self._near.add(own)
        if found:
            self._near_records += 1
            if len(self._pairs) < _SHOWN_PAIRS:
                self._pairs.append({"place": place, "near": self._places[found[0]]})

    def to_dict(self) -> dict[str, Any]:
        """For JSON. `distinct` are the records that are neither left out nor equal to one before them."""
        intake, distinct = self.intake, self._all.to_dict()
        return {
            "records": intake.records,
            "duplicates": intake.duplicates,
            "rejected": dict(sorted(intake.rejections.counts.items())),
            "first_rejected": intake.rejections.first_places(),
            "formats": dict(sorted(intake.formats.items())),
            "distinct": distinct,
            "binary": intake.binary.to_dict(),
            "kinds": self._kinds.to_dict(),
            "classes": self._classes.to_dict(),
            "near_duplicates": {"records": self._near_records, "threshold": THRESHOLD, "first": self._pairs},
            "is_enough": distinct["records"] >= self._config.min_records,
            "min_records": self._config.min_records,
        }


def check(sources: Iterable[Source], config: TrainConfig, on_record: Callable[[], None]) -> Check:
    """Of all records of the sources. Raises RecordsError."""
    found = Check(config)
    for row in rows_of(sources):
        found.add(row)
        on_record()
    return found
