"""Records and altered copies of them, as a file of lines in the specification's format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import TooFewRecords
from cluster.sources import Source
from cluster.sources.parsing import Refused
from nbmf import json_text
from train_app.augment.copies import Augmenting, Copies
from train_app.augment.names import Augmentation
from train_app.augment.values import AllValues
from train_app.config import TrainConfig
from train_app.data.side_files import PLAIN, ZSTD, line_of, path_of
from train_app.data.sides import SIDES, TRAIN
from train_app.data.split import REPORT_FILE
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample


@dataclass(slots=True)
class Written:
    """What was read, and what was written of it: records, and copies by augmentation."""

    intake: Intake
    records: int = 0
    copies: Counter[Augmentation] = field(default_factory=Counter)


class _Before:
    """What is known of all records before copies are made."""

    def __init__(
        self, sources: list[Source], config: TrainConfig, with_values: bool, on_row: Callable[[], None]
    ) -> None:
        self.values, self.digests, self.rows = AllValues(), set[bytes](), 0
        intake = Intake(config.max_record_bytes)
        for row in rows_of(sources):
            self.rows += 1
            if sample := intake.sample(row):
                self.digests.add(sample.digest)
                if with_values:
                    self.values.add(sample)
            on_row()


def augment(
    sources: Iterable[Source],
    how: Augmenting,
    config: TrainConfig,
    write: Callable[[bytes], object],
    on_row: Callable[[], None],
    on_read: Callable[[int], None],
) -> Written:
    """A line a distinct record, its copies behind it; the sources are read twice.

    A copy has the record's class, an id of its own, and as metadata {augmentation, of: the record's id}. None is equal
    to a record or to another. `on_row` is called for each record of either reading, `on_read` between both with how
    many there are. Raises RecordsError, TooFewRecords where no copy was made.
    """
    sources = list(sources)
    before = _Before(sources, config, Augmentation.VALUES in how.names, on_row)
    on_read(before.rows)
    written, maker = Written(Intake(config.max_record_bytes)), Copies(how, before.values)
    for row in rows_of(sources):
        on_row()
        sample = written.intake.sample(row)
        if sample is None:
            continue
        new = [
            (name, copy)
            for name, copy in maker.of(sample)
            if copy.digest not in before.digests and len(copy.canonical) <= config.max_record_bytes
        ]
        try:
            lines = [line_of(sample, row["key"], row["around"])]
            lines += [_copy_line(copy, name, number, row) for number, (name, copy) in enumerate(new, 1)]
        except Refused as refused:
            written.intake.rejections.add(refused.reason, row["place"], refused.detail)
            continue
        before.digests.update(copy.digest for _, copy in new)
        written.copies.update(name for name, _ in new)
        written.records += 1
        write(b"".join(lines))
    if not written.copies:
        raise TooFewRecords(_none_made(how, written.intake))
    return written


def _copy_line(copy: Sample, name: Augmentation, number: int, row: dict[str, Any]) -> bytes:
    around = json_text.loads(row["around"]) if row["around"] else {}
    record_id = around.get("id", row["key"])
    head = around | {"id": f"{record_id}~{number}", "metadata": {"augmentation": name.value, "of": record_id}}
    return line_of(copy, row["key"], json_text.dumps(head))


def _none_made(how: Augmenting, intake: Intake) -> str:
    names = ", ".join(name.value for name in how.names)
    left_out = " ".join(["", *intake.rejections.lines(intake.records)])
    return f"none of the {intake.records:,} records can be altered by {names}: name other augmentations{left_out}"


def not_to_learn_from(files: Iterable[str]) -> Iterator[str]:
    """Of the files and folders, those that a split keeps to watch training or to measure by, or that hold such."""
    kept = [side for side in SIDES if side != TRAIN]
    for file in files:
        path = Path(file)
        if (path / REPORT_FILE).is_file():
            yield f"{path}, which holds all sides of a split: name its {TRAIN}{PLAIN}"
        elif (path.parent / REPORT_FILE).is_file() and any(
            path.name == path_of(path.parent, side, suffix).name for side in kept for suffix in (PLAIN, ZSTD)
        ):
            yield f"{path}, which a split keeps apart: only its {TRAIN}{PLAIN} is to learn from"
