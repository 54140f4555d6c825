"""Records for training: read through Ray Data, validated, de-duplicated, split by hash, sampled to a bound."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from cluster.errors import RecordsError, TooFewRecords
from cluster.sources import BadRecord, Shard, Source
from nbmf.errors import UnsupportedPayload
from nbmf.payload import Kind, to_canonical
from train_app.config import TrainConfig

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """A record's canonical bytes and the digest that decides its split and whether it is sampled."""

    kind: Kind
    canonical: bytes
    digest: bytes
    group: str = ""
    """Class of the record in its store, where it has one: classes weigh the same when adaptation is fitted."""


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


@dataclass(slots=True)
class Prepared:
    """What training learns from and what it is measured on."""

    training: list[Sample]
    holdout: list[Sample]
    records: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "records": self.records,
            "duplicates": self.duplicates,
            "rejected": dict(sorted(self.rejected.items())),
            "training_records": len(self.training),
            "training_bytes": sum(len(s.canonical) for s in self.training),
            "holdout_records": len(self.holdout),
            "holdout_bytes": sum(len(s.canonical) for s in self.holdout),
            "kinds": dict(sorted(Counter(s.kind.label for s in (*self.training, *self.holdout)).items())),
        }


def read_samples(source: Source, shard: Shard) -> Iterator[dict[str, Any]]:
    """Rows {kind, canonical, digest, group} of a shard's good records and {reason} of its bad ones."""
    empty = {"kind": -1, "canonical": b"", "digest": b"", "group": "", "reason": ""}
    for item in source.read(shard):
        if isinstance(item, BadRecord):
            yield {**empty, "reason": item.reason}
            continue
        if item.preview:
            yield {**empty, "reason": "stub_preview"}
            continue
        try:
            kind, canonical = to_canonical(item.payload)
        except UnsupportedPayload:
            yield {**empty, "reason": "unsupported_payload"}
            continue
        digest = blake2b(bytes([kind]) + canonical, digest_size=_DIGEST_BYTES).digest()
        yield {
            "kind": int(kind),
            "canonical": canonical,
            "digest": digest,
            "group": item.record_class or "",
            "reason": "",
        }


def prepare(sources: Iterable[Source], config: TrainConfig, on_records: Callable[[int], None]) -> Prepared:
    """Reads all sources in parallel; `on_records` is told how many records were read since it was last called.

    Raises TooFewRecords, RecordsError.
    """
    import ray

    # Pickled by us: they are Python objects, which Arrow columns do not hold. A source may name many files: once.
    sources = list(sources)
    held = [pickle.dumps(source) for source in sources]
    work = [{"source": at, "shard": pickle.dumps(shard)} for at, one in enumerate(sources) for shard in one.plan()]
    if not work:
        raise RecordsError("the sources hold no records at all")
    rows = ray.data.from_items(work, override_num_blocks=len(work)).flat_map(
        lambda item: read_samples(pickle.loads(held[item["source"]]), pickle.loads(item["shard"]))  # noqa: S301 - ours
    )
    training, holdout = BoundedSample(config.max_training_bytes), BoundedSample(config.max_holdout_bytes)
    prepared = Prepared([], [])
    seen: set[bytes] = set()
    for row in rows.iter_rows():
        prepared.records += 1
        _place(row, config, seen, prepared, training, holdout)
        on_records(1)
    prepared.training, prepared.holdout = training.samples(), holdout.samples()
    _require_enough(prepared, config)
    return prepared


def _place(
    row: dict[str, Any],
    config: TrainConfig,
    seen: set[bytes],
    prepared: Prepared,
    training: BoundedSample,
    holdout: BoundedSample,
) -> None:
    if row["reason"]:
        prepared.rejected[row["reason"]] += 1
    elif not row["canonical"]:
        prepared.rejected["empty"] += 1
    elif len(row["canonical"]) > config.max_record_bytes:
        prepared.rejected["too_large"] += 1
    elif row["digest"] in seen:
        prepared.duplicates += 1
    else:
        seen.add(row["digest"])
        sample = Sample(Kind(row["kind"]), row["canonical"], row["digest"], row["group"])
        # Another part of the digest than the one that samples are drawn by.
        share = int.from_bytes(sample.digest[-8:], "big") / 2**64
        (holdout if share < config.holdout_fraction else training).add(sample)


def _require_enough(prepared: Prepared, config: TrainConfig) -> None:
    found = len(prepared.training) + len(prepared.holdout)
    if found < config.min_records or not prepared.holdout:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(prepared.rejected.items()))
        raise TooFewRecords(
            f"{found} distinct records found, {config.min_records} are needed to learn anything "
            f"({prepared.records} read, {prepared.duplicates} duplicates{', ' + reasons if reasons else ''})"
        )
