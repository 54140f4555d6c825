"""Compression ratios by set of records: whole blobs of ours against general-purpose codecs."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np

from bench.peers import peers
from bench.records import BenchRecord, NotEqual
from cluster.measure import ratio_statistics
from cluster.registry import Registry
from nbmf import Codec
from nbmf.codec import WITHOUT_VERSION
from nbmf.coders import NAMES
from nbmf.decoding import parse_bounded
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort, EffortSetting

OURS = "nbmf"
ALL = "all sets"
_CHUNK_RECORDS = 16
_Row: TypeAlias = tuple[int, float, float, int]
"""Bytes of the blob, seconds to encode and to decode, number of the coder."""


def run(
    records: list[BenchRecord],
    training: list[BenchRecord],
    version: tuple[str, str],
    efforts: tuple[Effort, ...],
    apart: frozenset[str],
    processes: int,
    on_records: Callable[[int], None],
    latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
) -> dict[str, Any]:
    """{"sets": {set: {codec: statistics}}, "latency_ms": {...}, ...}. Every blob of ours is decoded and compared.

    `version` is a registry's location and the name of a version in it. Sets in `apart` are left out of
    the total: they share passages with the training records. The budget is that of effort "auto".
    """
    sizes = {name: measure([r.canonical for r in records]) for name, measure in peers(_bytes(training)).items()}
    rows = list(_ours(records, (*version, efforts, latency_budget_ms), processes, on_records))
    for number, effort in enumerate(efforts):
        sizes[column(effort)] = [row[number][0] for row in rows]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        groups[record.set].append(index)
        if record.set not in apart:
            groups[ALL].append(index)
    return {
        "version": Registry(version[0]).load(version[1]).id,
        "efforts": list(efforts),
        "latency_budget_ms": latency_budget_ms,
        "left_out_of_total": sorted(apart),
        "sets": {
            name: {
                codec: ratio_statistics([len(records[i].canonical) for i in members], [coded[i] for i in members])
                for codec, coded in sizes.items()
            }
            for name, members in sorted(groups.items(), key=lambda item: (item[0] == ALL, item[0]))
        },
        "coders": {
            column(effort): dict(Counter(NAMES[row[number][3]] for row in rows))
            for number, effort in enumerate(efforts)
        },
        "latency_ms": {
            column(effort): {
                what: _percentiles([row[number][place] for row in rows])
                for what, place in (("encode", 1), ("decode", 2))
            }
            for number, effort in enumerate(efforts)
        },
    }


def column(effort: Effort) -> str:
    """Name of our column."""
    return f"{OURS} {effort}"


def _bytes(records: Iterable[BenchRecord]) -> list[bytes]:
    return [record.canonical for record in records]


def _percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p95, most = np.percentile(np.asarray(seconds) * 1e3, [50, 95, 100])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "max": round(float(most), 2)}


_codec: Codec = WITHOUT_VERSION
_settings: list[EffortSetting] = []


def _load(registry: str, version: str, efforts: tuple[Effort, ...], latency_budget_ms: float) -> None:
    global _codec, _settings
    _codec = Registry(registry).load(version)
    _settings = [EffortSetting(effort, latency_budget_ms) for effort in efforts]


def _measure(records: list[BenchRecord]) -> list[list[_Row]]:
    return [[_code(record, setting) for setting in _settings] for record in records]


def _code(record: BenchRecord, setting: EffortSetting) -> _Row:
    start = time.perf_counter()
    blob = _codec.encode_canonical(record.kind, record.canonical, **setting.keywords)
    middle = time.perf_counter()
    parsed = parse_bounded(blob, 1 << 40)
    canonical = _codec.decode_canonical(parsed)
    end = time.perf_counter()
    if canonical != record.canonical:
        raise NotEqual(f"a record of set {record.set} with {len(record.canonical)} bytes")
    return len(blob), middle - start, end - middle, parsed.coder


def _ours(
    records: list[BenchRecord],
    version: tuple[str, str, tuple[Effort, ...], float],
    processes: int,
    on_records: Callable[[int], None],
) -> Iterable[list[_Row]]:
    chunks = [records[at : at + _CHUNK_RECORDS] for at in range(0, len(records), _CHUNK_RECORDS)]
    with ProcessPoolExecutor(processes, get_context("spawn"), _load, version) as pool:
        for rows in pool.map(_measure, chunks):
            on_records(len(rows))
            yield from rows
