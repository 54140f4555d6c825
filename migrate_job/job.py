"""A migration run: plan, shards through Ray Data, report."""

from __future__ import annotations

import fcntl
import json
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.errors import DestinationError
from cluster.sources import Source, SourceChanged
from migrate_job.destinations import Destination, ParquetParts
from migrate_job.layout import DEAD_LETTERS as DEAD_LETTERS
from migrate_job.layout import LOCK
from migrate_job.layout import REPORT as REPORT
from migrate_job.layout import REPORT_PAGE as REPORT_PAGE
from migrate_job.plan import Plan
from migrate_job.report import Report as Report
from migrate_job.report_html import to_html
from migrate_job.selection import find_cut
from migrate_job.shard import migrate_shard
from nbmf.codec import DEFAULT_LATENCY_BUDGET_MS, Effort
from nbmf.engine import Engine
from nbmf.payload import Fidelity

_SCRATCH = re.compile(r"(part-|_done/|_dead/).*\.tmp\.\d+")


def run(
    source: Source,
    destination: Path,
    registry: str,
    version: str,
    fidelity: Fidelity = "lossless",
    effort: Effort = "auto",
    latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS,
    engine: Engine | None = None,
    classes: tuple[str, ...] = (),
    limit: int | None = None,
    target: Destination | None = None,
    on_plan: Callable[[int, int], None] = lambda _shards, _done: None,
    on_shard: Callable[[dict[str, Any]], None] = lambda _counts: None,
) -> Report:
    """Migrates what is not migrated yet; stopped at any point, the same call goes on. Needs a Ray session.

    `destination` is the run's folder, and of the default `target`, a Parquet data set, the data set's.
    `on_plan` is told the number of shards and how many were done before, `on_shard` each shard's counts.
    Raises DestinationError if the folder is not this migration's or another run is at work in it, and
    SourceChanged if a file was written to while the run was at work: what was read before it is done, the file is not.
    """
    shards = tuple(source.plan())
    how = (fidelity, effort, latency_budget_ms, engine or Engine(), classes, limit)
    plan = Plan(source, shards, destination, registry, version, *how, target=target or ParquetParts())
    root = getattr(source, "root", None)
    if isinstance(root, Path) and destination.resolve().is_relative_to(root.resolve()):
        raise DestinationError(f"{destination} is inside the source; choose a folder outside of it")
    plan.refuse_foreign()  # before a lock file is put into someone's folder
    with _exclusive(destination):
        plan.claim()
        plan.target.prepare(destination)
        _remove_scratch(destination)
        todo = [index for index in range(len(plan.shards)) if not plan.done_file(index).exists()]
        on_plan(len(plan.shards), len(plan.shards) - len(todo))
        for counts in _migrate_shards(replace(plan, cut=find_cut(plan)) if todo else plan, todo):
            on_shard(counts)
        return _finish(plan)


def _migrate_shards(plan: Plan, todo: list[int]) -> Iterator[dict[str, Any]]:
    """Plain tasks: Ray keeps its worker processes, and each keeps the codec it has loaded."""
    import ray

    if not todo:
        return
    shared = ray.put(pickle.dumps(plan))

    def migrate(row: dict[str, Any]) -> dict[str, Any]:
        plan: Plan = pickle.loads(ray.get(shared))  # noqa: S301 - ours
        try:
            return {"counts": json.dumps(migrate_shard(plan, row["index"])), "changed": ""}
        except SourceChanged as error:  # raised here, it would reach the user as an error of Ray's
            return {"counts": "", "changed": str(error)}

    work = ray.data.from_items([{"index": index} for index in todo], override_num_blocks=len(todo))
    for row in work.map(migrate, num_cpus=_cpus(plan.engine.threads)).iter_rows():
        if row["changed"]:
            raise SourceChanged(row["changed"])
        yield json.loads(row["counts"])


def _cpus(threads: int) -> int:
    """CPUs of a task: one a thread, but not more than a node has, or Ray would wait for one that has them."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    largest = max(node["Resources"].get("CPU", 0) for node in nodes if node["Alive"])
    return max(1, min(threads, int(largest)))


def _finish(plan: Plan) -> Report:
    plan.target.finish(plan.destination, len(plan.shards))
    report = Report(plan.version, *plan.effort_and_budget())
    for index in range(len(plan.shards)):
        report.add(json.loads(plan.done_file(index).read_text()))
    with (plan.destination / DEAD_LETTERS).open("w") as letters:
        for index in range(len(plan.shards)):
            letters.write(plan.dead_file(index).read_text())
    (plan.destination / REPORT_PAGE).write_text(to_html(report), encoding="utf-8")
    (plan.destination / REPORT).write_text(json.dumps(report.to_dict(), indent=1))
    return report


def _remove_scratch(destination: Path) -> None:
    """Files that a killed run had begun and not yet named. With the lock held, no other run is at work on them."""
    for folder in (destination, destination / "_done", destination / "_dead"):
        for path in folder.glob("*.tmp.*"):
            if _SCRATCH.fullmatch(str(path.relative_to(destination))):
                path.unlink(missing_ok=True)


@contextmanager
def _exclusive(destination: Path) -> Iterator[None]:
    destination.mkdir(parents=True, exist_ok=True)
    with (destination / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DestinationError(f"another migration is at work in {destination}") from error
        yield
