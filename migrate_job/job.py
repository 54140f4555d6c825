"""A migration run: plan, shards, report."""

from __future__ import annotations

import fcntl
import json
import os
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.errors import DestinationError
from cluster.session import session
from cluster.sources import Source
from cluster.sources.unread import Unread
from migrate_job.coding.run import Session, migrate_shards
from migrate_job.destinations import Destination, ParquetParts
from migrate_job.layout import LOCK
from migrate_job.plan.listing import Listing
from migrate_job.plan.plan import RECORD_TIMEOUT_S, Plan
from migrate_job.plan.selection import find_cut
from migrate_job.plan.verification import ALL
from migrate_job.report.report import Report as Report
from migrate_job.report.report_html import to_html
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort
from nbmf.engine import Engine
from nbmf.payload import Fidelity
from nbmf.places import is_uri
from nbmf.store.files import remove_scratch, write_whole
from nbmf.store.layout import DEAD_LETTERS, PART_PREFIX, REPORT, REPORT_PAGE

_NAMES = (PART_PREFIX, "_", REPORT, REPORT_PAGE, DEAD_LETTERS)
"""What a run has in its folder begins so."""


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
    fidelities: Mapping[str, Fidelity] | None = None,
    verify: float = ALL,
    record_timeout_s: float = RECORD_TIMEOUT_S,
    target: Destination | None = None,
    ray_session: Session = session,
    on_plan: Callable[[int, int], None] = lambda _shards, _done: None,
    on_shard: Callable[[dict[str, Any]], None] = lambda _counts: None,
) -> Report:
    """Migrates what is not migrated yet; stopped at any point, the same call goes on.

    What is more than a process does in a moment is done on Ray, within `ray_session()`: the session that there is, or a
    local one. Options are as in Plan. A record that brings down or hangs its worker is a dead letter.
    `destination` is the run's folder, and of the default `target`, a Parquet data set, the data set's.
    `on_plan` is told the number of shards and how many were done before, `on_shard` each shard's counts.
    Raises DestinationError if the folder is not this migration's or another run is at work in it, and
    SourceChanged if a file was written to while the run was at work: what was read before it is done, the file is not.
    And WorkerDied if processes end that no record ends.
    """
    if is_uri(destination):
        raise DestinationError(f"{destination} reads as a URI; a migration writes to a folder on this machine")
    with Listing.of(source) as shards:
        plan = Plan(
            source,
            shards,
            destination,
            registry,
            version,
            fidelity,
            effort,
            latency_budget_ms,
            engine or Engine(),
            classes,
            limit,
            fidelities=fidelities or {},
            verify=verify,
            record_timeout_s=record_timeout_s,
            target=target or ParquetParts(),
        )
        return _run(plan, ray_session, on_plan, on_shard)


def _run(
    plan: Plan,
    ray_session: Session,
    on_plan: Callable[[int, int], None],
    on_shard: Callable[[dict[str, Any]], None],
) -> Report:
    root = getattr(plan.source, "root", None)
    if isinstance(root, Path) and plan.destination.resolve().is_relative_to(root.resolve()):
        raise DestinationError(f"{plan.destination} is inside the source; choose a folder outside of it")
    plan.refuse_foreign()  # before a lock file is put into someone's folder
    with _exclusive(plan.destination):
        plan.claim()
        plan.target.prepare(plan.destination)
        _remove_scratch(plan.destination)
        done = _done(plan)
        on_plan(len(done), sum(done))
        if not all(done):
            todo = array("Q", (index for index, is_done in enumerate(done) if not is_done))
            with closing(migrate_shards(replace(plan, cut=find_cut(plan)), todo, ray_session)) as shards:
                for counts in shards:
                    on_shard(counts)
        return _finish(plan)


def _done(plan: Plan) -> bytearray:
    """A byte a shard: whether it is done."""
    done = bytearray(len(plan.shards))
    with os.scandir(plan.done_file(0).parent) as entries:
        for entry in entries:
            name, _, suffix = entry.name.partition(".")
            if suffix == "json" and name.isdecimal() and int(name) < len(done):
                done[int(name)] = True
    return done


def _finish(plan: Plan) -> Report:
    plan.target.finish(plan.destination, len(plan.shards))
    report = Report(plan.version, *plan.effort_and_budget())
    for index in range(len(plan.shards)):
        report.add(json.loads(plan.done_file(index).read_text()))
    _remove_scratch(plan.destination)
    report.unread = Unread.of(plan.source)
    # The report comes last: with it the migration is finished.
    write_whole(plan.destination / DEAD_LETTERS, lambda path: _gather_letters(plan, path))
    write_whole(plan.destination / REPORT_PAGE, lambda path: path.write_text(to_html(report), encoding="utf-8"))
    write_whole(plan.destination / REPORT, lambda path: path.write_text(json.dumps(report.to_dict(), indent=1)))
    return report


def _gather_letters(plan: Plan, path: Path) -> None:
    with path.open("w") as letters:
        for index in range(len(plan.shards)):
            letters.write(plan.dead_file(index).read_text())


def _remove_scratch(destination: Path) -> None:
    """Files that killed processes had begun and not yet named. With the lock held, no other run is at work on them.

    At the end, too: a node that was lost leaves such files, and others did its shards again.
    """
    remove_scratch(destination, *_NAMES)
    for folder in destination.glob("_*/"):
        remove_scratch(folder)
        for below in folder.glob("*/"):
            remove_scratch(below)


@contextmanager
def _exclusive(destination: Path) -> Iterator[None]:
    destination.mkdir(parents=True, exist_ok=True)
    with (destination / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DestinationError(f"another migration is at work in {destination}") from error
        yield
