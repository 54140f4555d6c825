"""Pairs of records and what a version makes of them, for whoever trains or compares something on such pairs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cluster.errors import TooFewRecords
from cluster.measure import ratio_statistics
from cluster.sources import Source
from cluster.sources.parsing import Refused
from nbmf.codec import Codec
from nbmf.effort import EffortSetting
from nbmf.errors import NbmfError
from nbmf.payload import Canonical, Fidelity, to_canonical
from nbmf.vectors.compare import cosines_of
from nbmf.wire import dump
from train_app.config import TrainConfig
from train_app.data.side_files import value_of
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample

_BATCH = 64
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class How:
    """How records are encoded."""

    fidelity: Fidelity = "lossless"
    effort: EffortSetting = field(default_factory=EffortSetting)


@dataclass(slots=True)
class Written:
    """What became pairs, and what was left out."""

    intake: Intake
    raw_bytes: list[int] = field(default_factory=list)
    coded_bytes: list[int] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Ratios, `similarity_mean` and `similarity_min`."""
        scores = self.similarities
        means = {"similarity_mean": round(sum(scores) / len(scores), _DIGITS), "similarity_min": min(scores)}
        return ratio_statistics(self.raw_bytes, self.coded_bytes) | means


def write_pairs(
    sources: Iterable[Source],
    codec: Codec,
    how: How,
    config: TrainConfig,
    write: Callable[[bytes], object],
    on_record: Callable[[], None],
) -> Written:
    """A line {original, compressed, reconstructed, compression_ratio, similarity_score} a distinct record.

    `compressed` is the blob in base64; the ratio that of the record's canonical bytes to the blob's. Every blob is
    decoded: what comes back is `reconstructed`, and the score 1 if it is equal, else the mean cosine of the vectors
    that are not; a record of which anything else differs is left out. Raises RecordsError, TooFewRecords for no pair.
    """
    written = Written(Intake(config.max_record_bytes))
    wanted = _wanted(sources, written.intake, on_record)
    while batch := list(islice(wanted, _BATCH)):
        coded = _coded([sample for _, sample, _ in batch], codec, how)
        for (place, sample, original), (blob, decoded) in zip(batch, coded, strict=True):
            try:
                write(_pair(sample, original, blob, decoded, how.fidelity, written))
            except Refused as refused:
                written.intake.rejections.add(refused.reason, place, refused.detail)
    if not written.raw_bytes:
        left_out = written.intake.rejections.lines(written.intake.records)
        raise TooFewRecords(" ".join(["no record became a pair.", *left_out]))
    return written


def _wanted(
    sources: Iterable[Source], intake: Intake, on_record: Callable[[], None]
) -> Iterator[tuple[str, Sample, bytes]]:
    """(place, record, its JSON) of those that are no duplicates and have one."""
    for row in rows_of(sources):
        on_record()
        if sample := intake.sample(row):
            try:
                yield row["place"], sample, value_of(sample)
            except Refused as refused:
                intake.rejections.add(refused.reason, row["place"], refused.detail)


def _coded(samples: list[Sample], codec: Codec, how: How) -> Iterator[tuple[bytes, Any]]:
    """(blob, what it decodes to) of each."""
    records = [Canonical(sample.kind, sample.canonical) for sample in samples]
    coded = codec.encode_canonical_measured(records, [how.fidelity] * len(records), **how.effort.keywords)
    blobs = [one.blob for one in coded]
    yield from zip(blobs, codec.decode_batch(blobs), strict=True)


def _pair(sample: Sample, original: bytes, blob: bytes, decoded: Any, fidelity: Fidelity, written: Written) -> bytes:
    if isinstance(decoded, NbmfError):
        raise Refused(decoded.code, str(decoded))
    kind, canonical = to_canonical(decoded)
    cosines = cosines_of(kind, sample.canonical, canonical) if kind is sample.kind else None
    if cosines is None or (cosines and fidelity == "lossless"):
        raise Refused("not_equal", "the blob decodes to another record")
    score = round(sum(cosines) / len(cosines), _DIGITS) if cosines else 1.0
    written.raw_bytes.append(len(sample.canonical))
    written.coded_bytes.append(len(blob))
    written.similarities.append(score)
    numbers = dump({"compression_ratio": round(len(sample.canonical) / len(blob), 4), "similarity_score": score})
    compressed = base64.b64encode(blob)
    back = original if not cosines else value_of(Sample(kind, canonical, b""))
    parts = b'{"original":', original, b',"compressed":"', compressed, b'","reconstructed":', back, b",", numbers[1:]
    return b"".join([*parts, b"\n"])
