"""Records for training: read through Ray Data, validated, de-duplicated, split by hash, sampled to a bound."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cluster.errors import RecordsError, TooFewRecords
from cluster.sources import BadRecord, Shard, Source
from nbmf.errors import UnsupportedPayload
from nbmf.payload import Kind, to_canonical
from train_app.config import TrainConfig
from train_app.samples.rejections import Rejections

_DIGEST_BYTES = 16
_MIN_HOLDOUT_RECORDS, _MAX_HOLDOUT_SHARE = 20, 0.2
_NOTHING = {b"null": "null", b"{}": "empty", b"[]": "empty"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A record's canonical bytes and the digest that decides its split and whether it is sampled."""

    kind: Kind
    canonical: bytes
    digest: bytes
    group: str = ""
    """Class of the record in its store, where it has one: classes weigh the same when adaptation is fitted."""


_ROW = {"kind": -1, "canonical": b"", "digest": b"", "group": "", "place": "", "reason": "", "detail": "", "fault": ""}


class BoundedSample:
    """The samples with the smallest digests that fit a number of bytes: the same whatever order they come in."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._samples: list[Sample] = []
        self._bytes = 0
        self._threshold = b"\xff" * _DIGEST_BYTES

    def add(self, sample: Sample) -> None:
        if sample.digest > self._threshold:
            return
        self._samples.append(sample)
        self._bytes += len(sample.canonical)
        if self._bytes > 2 * self._max_bytes:
            self._shrink()

    def _shrink(self) -> None:
        self._samples.sort(key=lambda s: s.digest)
        total = 0
        for count, sample in enumerate(self._samples):
            total += len(sample.canonical)
            if total > self._max_bytes and count > 0:
                # Not the last one kept: what comes later between the two may still fit.
                self._threshold = sample.digest
                del self._samples[count:]
                break
        self._bytes = sum(len(s.canonical) for s in self._samples)

    def samples(self) -> list[Sample]:
        """The sample, ordered by digest."""
        self._shrink()
        return self._samples


class BalancedSample:
    """The same of each class of records and of all together."""

    def __init__(self, max_bytes: int, max_class_bytes: int) -> None:
        self._max_bytes, self._max_class_bytes = max_bytes, max_class_bytes or max_bytes
        self._of_class: dict[str, BoundedSample] = {}

    def add(self, sample: Sample) -> None:
        self._of_class.setdefault(sample.group, BoundedSample(self._max_class_bytes)).add(sample)

    def samples(self) -> list[Sample]:
        """The sample, ordered by digest."""
        whole = BoundedSample(self._max_bytes)
        for part in self._of_class.values():
            for sample in part.samples():
                whole.add(sample)
        return whole.samples()


@dataclass(slots=True)
class Prepared:
    """What training learns from and what it is measured on."""

    training: list[Sample]
    holdout: list[Sample]
    records: int = 0
    duplicates: int = 0
    of_held_out_classes: int = 0
    rejections: Rejections = field(default_factory=Rejections)

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
        }


def read_samples(source: Source, shard: Shard) -> Iterator[dict[str, Any]]:
    """Rows {kind, canonical, digest, group, place} of a shard's good records, {reason, place, detail} of the others.

    A payload that holds nothing, null above all, is one of the others: there is nothing to learn from it.
    """
    for item in source.read(shard):
        row = {**_ROW, "place": item.place}
        if isinstance(item, BadRecord):
            yield {**row, "reason": item.reason, "detail": item.detail}
            continue
        if item.preview:
            yield {**row, "reason": "stub_preview"}
            continue
        try:
            kind, canonical = to_canonical(item.payload)
        except UnsupportedPayload as error:
            yield {**row, "reason": "unsupported_payload", "detail": str(error)}
            continue
        reason = "" if canonical else "empty"
        if kind is Kind.JSON:
            reason = _NOTHING.get(canonical, "")
        if reason:
            yield {**row, "reason": reason}
            continue
        digest = blake2b(bytes([kind]) + canonical, digest_size=_DIGEST_BYTES).digest()
        good = {"kind": int(kind), "canonical": canonical, "digest": digest, "group": item.record_class or ""}
        yield {**row, **good}


def _read(source: bytes, shard: bytes) -> Iterator[dict[str, Any]]:
    """Those rows; a source that cannot be read is a row {fault}: an error would arrive wrapped in Ray's."""
    try:
        yield from read_samples(pickle.loads(source), pickle.loads(shard))  # noqa: S301 - made by `prepare`
    except RecordsError as error:
        yield {**_ROW, "fault": str(error)}


def prepare(
    sources: Iterable[Source],
    config: TrainConfig,
    on_records: Callable[[int], None],
    rejected_file: Path | None = None,
) -> Prepared:
    """Reads all sources in parallel; `on_records` is told how many records were read since it was last called.

    What is left out is written to `rejected_file`, a JSON line each. Raises TooFewRecords, RecordsError.
    """
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
    training = BalancedSample(config.max_training_bytes, config.max_class_bytes)
    holdout = BalancedSample(config.max_holdout_bytes, config.max_class_bytes)
    prepared = Prepared([], [], rejections=Rejections(rejected_file))
    seen: set[bytes] = set()
    for row in rows.iter_rows():
        if row["fault"]:
            raise RecordsError(row["fault"])
        prepared.records += 1
        _place(row, config, seen, prepared, training, holdout)
        on_records(1)
    prepared.training, prepared.holdout = _balanced(training.samples(), holdout.samples())
    _require_enough(prepared, config)
    return prepared


def _place(
    row: dict[str, Any],
    config: TrainConfig,
    seen: set[bytes],
    prepared: Prepared,
    training: BalancedSample,
    holdout: BalancedSample,
) -> None:
    size = len(row["canonical"])
    if row["reason"]:
        prepared.rejections.add(row["reason"], row["place"], row["detail"])
    elif size > config.max_record_bytes:
        detail = f"{size:,} bytes; max_record_bytes is {config.max_record_bytes:,}"
        prepared.rejections.add("too_large", row["place"], detail)
    elif row["digest"] in seen:
        prepared.duplicates += 1
    else:
        seen.add(row["digest"])
        sample = Sample(Kind(row["kind"]), row["canonical"], row["digest"], row["group"])
        if is_held_out(sample.group, config.held_out_classes):
            prepared.of_held_out_classes += 1
            return
        (holdout if _share(sample) < config.holdout_fraction else training).add(sample)


def is_held_out(record_class: str, share: float) -> bool:
    """Whether a class is one of those that are not learnt from: by a hash of its name."""
    return int.from_bytes(blake2b(record_class.encode(), digest_size=8).digest(), "big") < share * 2**64


def _share(sample: Sample) -> float:
    """A number from 0 to 1, from another part of the digest than the one that samples are drawn by."""
    return int.from_bytes(sample.digest[-8:], "big") / 2**64


def _balanced(training: list[Sample], holdout: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Of few records, more are held out than the configuration says, so that something can be told from them."""
    wanted = min(_MIN_HOLDOUT_RECORDS, int((len(training) + len(holdout)) * _MAX_HOLDOUT_SHARE))
    missing = max(0, wanted - len(holdout))
    moved = {sample.digest for sample in sorted(training, key=_share)[:missing]}
    return [s for s in training if s.digest not in moved], [*holdout, *(s for s in training if s.digest in moved)]


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
