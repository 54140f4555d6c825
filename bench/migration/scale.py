"""How a migration scales: speed with the workers, memory with the records, and what both say of 10^9 records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

from bench.machine import facts
from bench.migration.measured_run import Job, measure
from bench.migration.stores import write_jsonl, write_legacy
from cluster.registry import NONE
from nbmf.effort import Effort

WORKERS = (1, 2)
TARGET_RECORDS = 1_000_000_000
CORES = (16, 128, 1024)


def run(
    folder: Path,
    records: int,
    memory_records: tuple[int, ...],
    legacy_records: tuple[int, ...],
    registry: str,
    version: str,
    effort: Effort,
    on_step: Callable[[str], None] = lambda _step: None,
) -> dict[str, Any]:
    """Each run in a process of its own; stores are made in `folder` and deleted. Raises RunFailed."""
    jobs = _Jobs(folder, registry, effort)
    speed = list(_speed(jobs, records, version, on_step))
    memory = [jobs.run("jsonl", count, NONE, 2, on_step) | {"source": "JSONL"} for count in sorted(memory_records)] + [
        jobs.run("legacy", count, NONE, 2, on_step) | {"source": "legacy"} for count in sorted(legacy_records)
    ]
    return {
        "codec": version,
        "effort": effort,
        "speed": speed,
        "memory": memory,
        "target": extrapolate(speed, memory),
        "machine": facts(),
    }


class _Jobs:
    def __init__(self, folder: Path, registry: str, effort: Effort) -> None:
        self._folder, self._registry, self._effort = folder, registry, effort

    def run(
        self, layout: str, records: int, version: str, workers: int, on_step: Callable[[str], None]
    ) -> dict[str, Any]:
        source = self._folder / f"{records}.{layout}"
        destination = self._folder / "new"
        on_step(f"writing {records:,} records")
        write_jsonl(source, records) if layout == "jsonl" else write_legacy(source, records)
        on_step(f"migrating {records:,} records with {workers} workers")
        job = Job(str(source), str(destination), self._registry, version, self._effort, workers)
        try:
            return {"codec": version} | measure(job)
        finally:
            on_step("cleaning up")
            source.unlink() if source.is_file() else rmtree(source)
            rmtree(destination, ignore_errors=True)


def _speed(jobs: _Jobs, records: int, version: str, on_step: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """A row for each version and number of workers; `efficiency` is against as many times one worker."""
    for coder, times in {version: 1, NONE: 10}.items():  # zstd alone is quick: more records, or it is over at once
        alone = 0.0
        for workers in WORKERS:
            row = jobs.run("jsonl", records * times, coder, workers, on_step)
            row["records_s"] = row["records"] / row["seconds"]
            row["kB_s"] = row["payload_bytes"] / row["seconds"] / 1e3
            alone = alone or row["records_s"]
            row["efficiency"] = row["records_s"] / alone / workers
            yield row


def extrapolate(speed: list[dict[str, Any]], memory: list[dict[str, Any]]) -> dict[str, Any]:
    """For TARGET_RECORDS like these, by version, from what was measured.

    Core-hours are worker time with one worker; the efficiency with the most workers is taken for all larger numbers.
    The driver's own time a shard says how many shards a second it can hand out, and so how many cores it keeps at work.
    """
    driver_s = _driver_s_per_shard(memory)
    longest = max(memory, key=lambda row: row["records"])
    versions = []
    for coder in dict.fromkeys(row["codec"] for row in speed):
        alone, *_, most = (row for row in speed if row["codec"] == coder)
        core_hours = TARGET_RECORDS * alone["worker_s"] / alone["records"] / 3600
        kept_at_work = most["worker_s"] / most["shards"] / driver_s
        efficiency = min(1.0, most["efficiency"])
        versions.append(
            {
                "codec": coder,
                "core_hours": core_hours,
                "payload_bytes": TARGET_RECORDS * alone["payload_bytes"] / alone["records"],
                "blob_bytes": TARGET_RECORDS * alone["blob_bytes"] / alone["records"],
                "shards": TARGET_RECORDS * most["shards"] / most["records"],
                "cores_kept_at_work": kept_at_work,
                "hours": {str(cores): core_hours / (min(cores, kept_at_work) * efficiency) for cores in CORES},
            }
        )
    return {
        "records": TARGET_RECORDS,
        "versions": versions,
        "driver_s_per_shard": driver_s,
        "listing_hours": TARGET_RECORDS * longest["listing_s"] / longest["records"] / 3600,
    }


def _driver_s_per_shard(memory: list[dict[str, Any]]) -> float:
    """What a shard more costs the driver, without what every run costs it."""
    rows = sorted((row for row in memory if row["source"] == memory[0]["source"]), key=lambda row: row["shards"])
    few, many = rows[0], rows[-1]
    if few["shards"] == many["shards"]:
        few = {"driver_cpu_s": 0, "shards": 0}
    return float(max(1e-6, (many["driver_cpu_s"] - few["driver_cpu_s"]) / (many["shards"] - few["shards"])))
