"""Throughput: kB of payload a second on one core, by batch size, with the total ratio of each codec beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.machine import facts
from bench.peers import primed_ppmd
from bench.records import BenchRecord, NothingToMeasure, payload_bytes, spaced
from bench.speed.timed import WARM_PPMD, Measured, Ours, Timed, timed_peers
from nbmf import Codec, engine
from nbmf.effort import Effort

REPEATS = 3
"""The median of so many is reported."""

PPMD_RECORDS = 30
"""Primed PPMd is timed on so many of the records only, as each takes it 0.2 to 0.5 s; its ratio is that of all."""

IDEALISED = (WARM_PPMD,)
"""Codecs that nobody can use as they are measured here."""


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """A codec, the batches it takes (None: one call a record), and the records it is measured on."""

    timed: Timed
    batch_size: int | None
    records: list[BenchRecord]


def pick(records: Sequence[BenchRecord], target_bytes: int, min_records: int) -> list[BenchRecord]:
    """Records evenly spaced through the file, about `target_bytes` together, and at least `min_records`.

    Raises NothingToMeasure if there are not so many.
    """
    held = [record for record in records if record.canonical]
    if len(held) < min_records:
        raise NothingToMeasure(
            f"a batch of {min_records} records, and only {len(held)} to take it from: give more records, "
            "or smaller ones of --batch-size"
        )
    share = target_bytes / payload_bytes(held)
    return spaced(held, max(min_records, round(len(held) * share)))


def run(
    records: list[BenchRecord],
    training: Sequence[bytes],
    codec: Codec,
    efforts: tuple[Effort, ...],
    batch_sizes: Sequence[int],
    on_start: Callable[[int], None],
    on_measured: Callable[[], None],
) -> dict[str, Any]:
    """The report: {"one_core": a row for each codec and batch size, ...}. Raises NotEqual.

    `on_start` is told how many measurements there are; `on_measured` is called after each.
    """
    peers, ppmd = timed_peers(training)
    runs = [_Run(Ours(codec, effort, size), size, records) for effort in efforts for size in batch_sizes]
    runs += [_Run(peer, None, records) for peer in peers]
    if ppmd:
        runs.append(_Run(ppmd, None, spaced(records, PPMD_RECORDS)))
        ppmd_bytes = sum(primed_ppmd(ppmd.prime)([record.canonical for record in records]))
    on_start(REPEATS * len(runs))
    found: dict[tuple[_Run, str], list[Measured]] = defaultdict(list)
    with compiled_loops_on_one_core():
        codec.warm_up()
        for one in runs:
            one.timed.measure(one.records[: one.batch_size or 1])
        for _ in range(REPEATS):
            for one in runs:
                for measured in one.timed.measure(one.records):
                    found[one, measured.codec].append(measured)
                on_measured()
    total_bytes = payload_bytes(records)
    rows = []
    for (one, name), repeats in found.items():
        timed_bytes = payload_bytes(one.records)
        coded_bytes = ppmd_bytes if one.timed is ppmd else repeats[0].coded_bytes
        rows.append(
            {
                "codec": name,
                "batch_size": one.batch_size,
                "idealised": name in IDEALISED,
                "timed_records": len(one.records),
                "timed_bytes": timed_bytes,
                "total_ratio": round(total_bytes / coded_bytes, 4),
                "encode_kB_s": round(median(timed_bytes / measured.encode_s for measured in repeats) / 1e3, 2),
                "decode_kB_s": round(median(timed_bytes / measured.decode_s for measured in repeats) / 1e3, 2),
            }
        )
    return {
        "machine": facts(),
        "codec": codec.id,
        "efforts": list(efforts),
        "records": len(records),
        "payload_bytes": total_bytes,
        "repeats": REPEATS,
        "one_core": rows,
    }


@contextmanager
def compiled_loops_on_one_core() -> Iterator[None]:
    """For as long as it lasts, batches are coded by the compiled loops on one thread."""
    before = engine.engine()
    engine.configure("cpu", threads=1)
    try:
        yield
    finally:
        engine.configure(before.name, before.threads)


def best_batch(rows: Sequence[dict[str, Any]], codec: str) -> int:
    """The batch size with which a codec of ours takes the least time to encode and decode."""
    own = [row for row in rows if row["codec"] == codec and row["batch_size"] is not None]
    fastest = min(own, key=lambda row: 1 / row["encode_kB_s"] + 1 / row["decode_kB_s"])
    size: int = fastest["batch_size"]
    return size
