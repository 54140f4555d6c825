"""A migration in a process of its own, on Ray however small, watched: time, and memory of driver and largest worker.

Run as `python -m bench.migration.measured_run` with a Job as JSON on standard input; writes the result as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

from bench.peak_memory import peak_bytes
from nbmf.effort import Effort, EffortSetting
from nbmf.errors import NbmfError

_PERIOD_S = 0.2


class RunFailed(NbmfError):
    """A measured run ended with an error."""

    code = "run_failed"


@dataclass(frozen=True, slots=True)
class Job:
    """What to migrate and with what."""

    source: str
    destination: str
    registry: str
    version: str
    effort: Effort
    workers: int


def measure(job: Job) -> dict[str, Any]:
    """In another process. Raises RunFailed."""
    command = [sys.executable, "-m", "bench.migration.measured_run"]
    ran = subprocess.run(  # noqa: S603 - ours
        command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RunFailed(f"a run with {job.workers} workers failed: {ran.stderr.strip() or ran.returncode}")
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


def migrate(job: Job) -> dict[str, Any]:
    """In this process."""
    import psutil

    from cluster.session import session
    from migrate_job.coding import run

    run.LITTLE_BYTES = -1
    driver = psutil.Process()
    source = _opened(job)  # before Ray is started: it may not be there
    with session(num_cpus=job.workers):
        planned = started = 0.0

        def on_plan(_shards: int, _done: int) -> None:
            nonlocal planned
            planned = perf_counter()

        def on_shard(counts: dict[str, Any]) -> None:
            nonlocal started
            started = started or perf_counter() - counts["seconds"]

        with _Memory(driver) as memory:
            begin, cpu_begin = perf_counter(), sum(driver.cpu_times()[:2])
            report = _run(job, source, on_plan, on_shard)
            end = perf_counter()
        cpu_end = sum(driver.cpu_times()[:2])  # the sampling thread has ended: its share is known
    done = sum(1 for _ in (Path(job.destination) / "_done").iterdir())
    return {
        "workers": job.workers,
        "records": report.records,
        "migrated": report.migrated,
        "payload_bytes": report.payload_bytes,
        "blob_bytes": report.blob_bytes,
        "shards": done,
        "listing_s": planned - begin,
        "start_s": started - planned,
        "seconds": end - started,
        "driver_cpu_s": cpu_end - cpu_begin - memory.own_cpu_s,
        "worker_s": report.seconds,
        "driver_peak_bytes": memory.driver_bytes,
        "worker_peak_bytes": memory.worker_bytes,
    }


def _opened(job: Job) -> Any:
    from cluster.sources import open_source

    fields: dict[str, Any] = {"payload_field": "payload", "key_field": "key", "class_field": "class"}
    return open_source(job.source, **fields) if job.source.endswith(".jsonl") else open_source(job.source)


def _run(job: Job, source: Any, on_plan: Any, on_shard: Any) -> Any:
    from migrate_job.job import run
    from migrate_job.plan.options import Options

    options = Options(effort=EffortSetting(job.effort))
    folder = Path(job.destination)
    return run(source, folder, job.registry, job.version, options, on_plan=on_plan, on_shard=on_shard)


class _Memory:
    """Peaks of resident memory: of this process, and, sampled, of the largest worker with what it started."""

    def __init__(self, driver: Any) -> None:
        self.driver_bytes = self.worker_bytes = 0
        self.own_cpu_s = 0.0
        self._driver = driver
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        self.driver_bytes = peak_bytes()

    def _sample(self) -> None:
        while True:
            self.worker_bytes = max(self.worker_bytes, *self._workers(), 0)
            if self._over.wait(_PERIOD_S):
                break
        self.own_cpu_s = thread_time()

    def _workers(self) -> Iterator[int]:
        import psutil

        for process in self._driver.children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::"):
                    yield process.memory_info().rss + sum(child.memory_info().rss for child in process.children())


if __name__ == "__main__":
    os.environ.pop("RAY_ADDRESS", None)
    print(json.dumps(migrate(Job(**json.load(sys.stdin)))))
