"""Scaling: kB of payload a second of several processes at the same time, each coding the same records on one core."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median
from typing import Any

from bench.ratio import column
from bench.records import BenchRecord, payload_bytes
from bench.speed.throughput import REPEATS, best_batch, compiled_loops_on_one_core
from bench.speed.timed import Measured, Ours
from cluster.registry import Registry
from nbmf.codec import WITHOUT_VERSION, Codec
from nbmf.effort import Effort

_barrier: Any = None
_codec: Codec = WITHOUT_VERSION


def run(
    records: list[BenchRecord],
    version: tuple[str, str],
    efforts: tuple[Effort, ...],
    one_core: Sequence[dict[str, Any]],
    processes: Sequence[int],
    on_measured: Callable[[], None],
) -> list[dict[str, Any]]:
    """A row for each number of processes and effort, at the batch size that was best on one core.

    `version` is a registry's location and the name of a version in it, `one_core` the rows of throughput.run.
    `on_measured` is called after each row. Raises NotEqual.
    """
    rows = []
    context = get_context("spawn")
    for count in processes:
        with ProcessPoolExecutor(count, context, _join, (context.Barrier(count), *version)) as pool:
            for effort in efforts:
                size = best_batch(one_core, column(effort))
                # Each waits for the others in the middle of its job, so no process gets two.
                futures = [pool.submit(_measure, records, effort, size) for _ in range(count)]
                rows.append(_row(effort, size, records, _results(futures)))
                on_measured()
    return rows


def _results(futures: Sequence[Future[list[Measured]]]) -> list[list[Measured]]:
    """Each process's repeats. If one failed its error is raised, not that the others waited for it in vain."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


def _join(barrier: Any, registry: str, version: str) -> None:
    global _barrier, _codec
    _barrier, _codec = barrier, Registry(registry).load(version)


def _measure(records: list[BenchRecord], effort: Effort, batch_size: int) -> list[Measured]:
    ours = Ours(_codec, effort, batch_size)
    try:
        with compiled_loops_on_one_core():
            _codec.warm_up()
            ours.measure(records[:batch_size])
            return [measured for _ in range(REPEATS) for measured in ours.measure(records, _barrier.wait)]
    except BaseException:
        _barrier.abort()
        raise


def _row(effort: Effort, batch_size: int, records: list[BenchRecord], found: list[list[Measured]]) -> dict[str, Any]:
    """Together: the payload of all over the time of the slowest. Medians of the repeats."""
    size = payload_bytes(records) / 1e3
    row: dict[str, Any] = {"codec": column(effort), "batch_size": batch_size, "processes": len(found)}
    for what in ("encode", "decode"):
        seconds = [[getattr(measured, f"{what}_s") for measured in process] for process in found]
        together = [len(found) * size / max(repeat) for repeat in zip(*seconds, strict=True)]
        row[f"{what}_kB_s"] = round(median(together), 2)
        row[f"{what}_kB_s_per_process"] = [round(median(size / s for s in process), 2) for process in seconds]
    return row
