"""Latency: how long one record takes to encode and to decode, by its size, on one core of this process."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.exact.comparison import NoNetwork, version_folder
from bench.machine import facts
from bench.records import BenchRecord, NothingToMeasure, payload_bytes, spaced
from bench.speed.timed import Measured, Ours, Timed, timed_peers
from cluster.registry import Registry
from nbmf import Codec
from nbmf.effort import Effort
from nbmf.manifest import read_version
from nbmf.neural.record_types import TYPE_OF_KIND

SIZES_BYTES = (100, 250, 500, 1000, 2000, 4000, 8000)
"""A record is of the nearest of these sizes, on a logarithmic scale."""

MAX_BYTES = 12_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """The records of about one size that are measured, of `found` in the file."""

    size_bytes: int
    found: int
    records: list[BenchRecord]


@dataclass(slots=True)
class _Column:
    """Of one codec: bytes and seconds of all records it coded, and seconds of each by bucket."""

    payload_bytes: int = 0
    coded_bytes: int = 0
    encode_s: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    decode_s: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, size_bytes: int, record: BenchRecord, measured: Measured) -> None:
        self.payload_bytes += len(record.canonical)
        self.coded_bytes += measured.coded_bytes
        self.encode_s[size_bytes].append(measured.encode_s)
        self.decode_s[size_bytes].append(measured.decode_s)


def bucket_of(size_bytes: int) -> int | None:
    """The size that stands for a record of so many bytes; None if it is empty or above MAX_BYTES."""
    if not 0 < size_bytes <= MAX_BYTES:
        return None
    return min(SIZES_BYTES, key=lambda size: abs(math.log(size_bytes / size)))


def pick(records: Sequence[BenchRecord], per_size: int) -> list[Bucket]:
    """The buckets that have records, at most `per_size` in each, evenly spaced through the file."""
    members: dict[int | None, list[BenchRecord]] = defaultdict(list)
    for record in records:
        members[bucket_of(len(record.canonical))].append(record)
    return [Bucket(size, len(members[size]), spaced(members[size], per_size)) for size in SIZES_BYTES if members[size]]


def in_turn(buckets: Sequence[Bucket]) -> Iterator[tuple[int, BenchRecord]]:
    """(bucket, record): one of each bucket, and again, so that a noisy minute hits all sizes alike."""
    for rank in range(max((len(bucket.records) for bucket in buckets), default=0)):
        for bucket in buckets:
            if rank < len(bucket.records):
                yield bucket.size_bytes, bucket.records[rank]


def token_counter(registry: Registry, version: str) -> Callable[[BenchRecord], int] | None:
    """How many tokens a record has for a version's learned part, 0 for kinds it does not take; None if it has none."""
    try:
        _, manifest, files = read_version(version_folder(registry, version))
    except NoNetwork:
        return None
    part = manifest.neural or manifest.counts
    if part is None:
        return None
    from nbmf.neural.tokenizer import NeuralTokenizer

    tokenizer = NeuralTokenizer.from_json(files[part.tokenizer].decode())
    return lambda record: len(tokenizer.encode(record.canonical)) if record.kind in TYPE_OF_KIND else 0


def run(
    records: Sequence[BenchRecord],
    training: Sequence[bytes],
    codec: Codec,
    efforts: tuple[Effort, ...],
    per_size: int,
    count_tokens: Callable[[BenchRecord], int] | None,
    on_start: Callable[[int], None],
    on_record: Callable[[], None],
) -> dict[str, Any]:
    """The report: {"buckets": rows, "totals": {codec: ...}, ...}. Raises NothingToMeasure, NotEqual.

    `on_start` is told how many records there are; `on_record` is called after each.
    """
    buckets = pick(records, per_size)
    if not buckets:
        raise NothingToMeasure(f"none of the {len(records)} records has 1 to {MAX_BYTES:,} bytes")
    measured_records = [record for bucket in buckets for record in bucket.records]
    tokens = [*map(count_tokens, measured_records)] if count_tokens else []
    peers, ppmd = timed_peers(training)
    timed: list[Timed] = [*(Ours(codec, effort) for effort in efforts), *peers, *([ppmd] if ppmd else [])]
    codec.warm_up()
    for one in timed:
        one.measure(measured_records[:1])
    on_start(len(measured_records))
    columns: dict[str, _Column] = defaultdict(_Column)
    for size_bytes, record in in_turn(buckets):
        for one in timed:
            one.prepare()
            for measured in one.measure([record]):
                columns[measured.codec].add(size_bytes, record, measured)
        on_record()
    ours = {one.name for one in timed if isinstance(one, Ours)}
    return {
        "machine": facts(),
        "codec": codec.id,
        "efforts": list(efforts),
        "records": len(measured_records),
        "payload_bytes": payload_bytes(measured_records),
        "tokens": sum(tokens) if tokens and all(tokens) else None,
        "left_out": {
            f"above {MAX_BYTES} bytes": sum(len(record.canonical) > MAX_BYTES for record in records),
            "empty": sum(not record.canonical for record in records),
        },
        "buckets": [
            {
                "size_bytes": bucket.size_bytes,
                "found": bucket.found,
                "records": len(bucket.records),
                "payload_bytes": payload_bytes(bucket.records),
                "codecs": {
                    name: {
                        "encode_ms": _percentiles(column.encode_s[bucket.size_bytes]),
                        "decode_ms": _percentiles(column.decode_s[bucket.size_bytes]),
                    }
                    for name, column in columns.items()
                },
            }
            for bucket in buckets
        ],
        "totals": {
            name: _totals(column, sum(tokens) if name in ours and tokens and all(tokens) else None)
            for name, column in columns.items()
        },
    }


def _totals(column: _Column, tokens: int | None) -> dict[str, Any]:
    """All records of a codec together; microseconds a token where it codes tokens."""
    result: dict[str, Any] = {"total_ratio": round(column.payload_bytes / column.coded_bytes, 4)}
    for what, seconds in (("encode", column.encode_s), ("decode", column.decode_s)):
        us = sum(sum(times) for times in seconds.values()) * 1e6
        result[f"{what}_us_per_byte"] = round(us / column.payload_bytes, 4)
        if tokens:
            result[f"{what}_us_per_token"] = round(us / tokens, 3)
    return result


def _percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(np.asarray(seconds) * 1e3, [50, 95])
    return {"p50": round(float(p50), 4), "p95": round(float(p95), 4)}
