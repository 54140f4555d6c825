"""Records for training: read through Ray Data, validated, de-duplicated, split by hash, sampled to a bound."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import RecordsError, TooFewRecords
from cluster.sources import Source
from train_app.config import TrainConfig
from train_app.samples.binary import Binary
from train_app.samples.bounded import BalancedSample
from train_app.samples.formats import ENVELOPE
from train_app.samples.reading import ROW, Intake, read_samples
from train_app.samples.rejections import Rejections
from train_app.samples.sample import Sample, is_held_out, share

_MIN_HOLDOUT_RECORDS, _MAX_HOLDOUT_SHARE = 20, 0.2


@dataclass(slots=True)
class Prepared:
    """What training learns from and what it is measured on."""

    training: list[Sample]
    holdout: list[Sample]
    records: int = 0
    duplicates: int = 0
    of_held_out_classes: int = 0
    rejections: Rejections = field(default_factory=Rejections)
    formats: Counter[str] = field(default_factory=Counter)
    binary: Binary = field(default_factory=Binary)
    """Of distinct records, whether or not they are among those learnt from."""
    tested: int | None = None
    """Records not learnt from as they are among those to measure on, where such were given."""

    @property
    def names_classes(self) -> bool:
        """Whether records name their classes themselves."""
        return self.formats[ENVELOPE] > 0

    def summary(self, with_classes: bool = False) -> dict[str, Any]:
        """For the manifest; `with_classes`, the names of the classes that were learnt from with their records too."""
        classes = Counter(s.group for s in self.training if s.group)
        return {
            "records": self.records,
            "duplicates": self.duplicates,
            "of_held_out_classes": self.of_held_out_classes,
            "rejected": dict(sorted(self.rejections.counts.items())),
            "training_records": len(self.training),
            "training_bytes": sum(len(s.canonical) for s in self.training),
            "holdout_records": len(self.holdout),
            "holdout_bytes": sum(len(s.canonical) for s in self.holdout),
            "kinds": dict(sorted(Counter(s.kind.label for s in (*self.training, *self.holdout)).items())),
            **({"classes": dict(sorted(classes.items()))} if with_classes else {}),
            **({"tested": self.tested} if self.tested is not None else {}),
            **({"binary": self.binary.to_dict()} if self.binary.records else {}),
            **({"formats": dict(sorted(self.formats.items()))} if self.formats else {}),
        }


def _read(source: bytes, shard: bytes) -> Iterator[dict[str, Any]]:
    """Those rows; a source that cannot be read is a row {fault}: an error would arrive wrapped in Ray's."""
    try:
        yield from read_samples(pickle.loads(source), pickle.loads(shard))  # noqa: S301 - made by `prepare`
    except RecordsError as error:
        yield {**ROW, "fault": str(error)}


def prepare(
    sources: Iterable[Source],
    config: TrainConfig,
    on_records: Callable[[int], None],
    rejected_file: Path | None = None,
    test: Iterable[Source] = (),
) -> Prepared:
    """Reads all sources in parallel; `on_records` is told how many records were read since it was last called.

    Held out are the records of `test`, if there are any: what is among them is not learnt from. What is left out is
    written to `rejected_file`, a JSON line each. Raises TooFewRecords, RecordsError.
    """
    training = BalancedSample(config.max_training_bytes, config.max_class_bytes)
    holdout = BalancedSample(config.max_holdout_bytes, config.max_class_bytes)
    tested: set[bytes] = set()
    if test := list(test):
        for sample in _samples(test, Intake(config.max_record_bytes, rejected_file), on_records):
            holdout.add(sample)
            tested.add(sample.digest)
    fraction = 0.0 if test else config.holdout_fraction
    intake = Intake(config.max_record_bytes, rejected_file, tested)
    of_held_out_classes = 0
    for sample in _samples(sources, intake, on_records):
        if is_held_out(sample.group, config.held_out_classes):
            of_held_out_classes += 1
        else:
            (holdout if share(sample.digest) < fraction else training).add(sample)
    parts = training.samples(), holdout.samples()
    prepared = Prepared(
        *(parts if test else balanced(*parts)),
        intake.records,
        intake.duplicates,
        of_held_out_classes,
        intake.rejections,
        intake.formats,
        intake.binary,
        intake.tested if test else None,
    )
    _require_enough(prepared, config)
    return prepared


def read(sources: Iterable[Source], config: TrainConfig, rejected_file: Path | None = None) -> list[Sample]:
    """All records of the sources, as many as training would take. Raises TooFewRecords for none, RecordsError."""
    intake = Intake(config.max_record_bytes, rejected_file)
    found = BalancedSample(config.max_training_bytes, config.max_class_bytes)
    for sample in _samples(sources, intake, lambda _records: None):
        found.add(sample)
    if samples := found.samples():
        return samples
    raise TooFewRecords(" ".join(["no record is left of those to watch by.", *intake.rejections.lines(intake.records)]))


def _samples(sources: Iterable[Source], intake: Intake, on_records: Callable[[int], None]) -> Iterator[Sample]:
    """Those that the intake takes, in any order. Raises RecordsError."""
    import ray

    # Pickled by us: they are Python objects, which Arrow columns do not hold. A source may name many files: once.
    sources = list(sources)
    held = [pickle.dumps(source) for source in sources]
    work = [{"source": at, "shard": pickle.dumps(shard)} for at, one in enumerate(sources) for shard in one.plan()]
    if not work:
        raise RecordsError("the sources hold no records at all")
    rows = ray.data.from_items(work, override_num_blocks=len(work)).flat_map(
        lambda item: _read(held[item["source"]], item["shard"])
    )
    for row in rows.iter_rows():
        if row["fault"]:
            raise RecordsError(row["fault"])
        if sample := intake.sample(row):
            yield sample
        on_records(1)


def balanced(training: list[Sample], holdout: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Of few records, more are held out than the configuration says, so that something can be told from them."""
    wanted = min(_MIN_HOLDOUT_RECORDS, int((len(training) + len(holdout)) * _MAX_HOLDOUT_SHARE))
    missing = max(0, wanted - len(holdout))
    moved = {sample.digest for sample in sorted(training, key=_share)[:missing]}
    return [s for s in training if s.digest not in moved], [*holdout, *(s for s in training if s.digest in moved)]


def _share(sample: Sample) -> float:
    return share(sample.digest)


def _require_enough(prepared: Prepared, config: TrainConfig) -> None:
    found = len(prepared.training) + len(prepared.holdout)
    if found >= config.min_records and prepared.holdout and prepared.training:
        return
    problem = f"{config.min_records} are needed to learn anything"
    if found >= config.min_records:
        problem = "and none of them fell to " + ("what is measured on" if prepared.training else "what is learnt from")
    left_out = " ".join(prepared.rejections.lines(prepared.records))
    raise TooFewRecords(
        f"{found} distinct records found, {problem} ({prepared.records} read, {prepared.duplicates} duplicates). "
        f"Until there are more, the built-in version is what to use{'. ' + left_out if left_out else ''}"
    )
