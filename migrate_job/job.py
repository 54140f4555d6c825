"""A migration run: plan, shards, report."""

from __future__ import annotations

import fcntl
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from cluster.errors import DestinationError
from cluster.session import session
from cluster.sources import Source
from cluster.sources.unread import Unread
from migrate_job.coding.run import Session, migrate_shards
from migrate_job.destinations import Destination, ParquetParts
from migrate_job.layout import DONE, LOCK, dead_name, done_name
from migrate_job.plan.listing import Listing
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import find_cut
from migrate_job.report.report import Report as Report
from migrate_job.report.report_html import to_html
from nbmf.store.files import remove_scratch
from nbmf.store.folder import Folder, LocalFolder, folder_at
from nbmf.store.layout import DEAD_LETTERS, PART_PREFIX, REPORT, REPORT_PAGE

_NAMES = (PART_PREFIX, "_", REPORT, REPORT_PAGE, DEAD_LETTERS)
"""What a run has in its folder begins so."""

_READS_AT_ONCE = 16


def run(
    source: Source,
    destination: Path | str | Folder,
    registry: str,
    version: str,
    options: Options | None = None,
    target: Destination | None = None,
    ray_session: Session = session,
    on_plan: Callable[[int, int], None] = lambda _shards, _done: None,
    on_shard: Callable[[dict[str, Any]], None] = lambda _counts: None,
) -> Report:
    """Migrates what is not migrated yet; stopped at any point, the same call goes on.

    What is more than a process does in a moment is done on Ray, within `ray_session()`: the session that there is, or a
    local one. A record that brings down or hangs its worker is a dead letter.
    `destination` is the run's folder, a path or a URI that pyarrow.fs knows, and of the default `target`, a Parquet
    data set, the data set's.
    `on_plan` is told the number of shards and how many were done before, `on_shard` each shard's counts.
    Raises DestinationError if the folder is not this migration's or another run is at work in it, and
    SourceChanged if a file was written to while the run was at work: what was read before it is done, the file is not.
    And WorkerDied if processes end that no record ends.
    """
    with Listing.of(source) as shards:
        plan = Plan(
            source,
            shards,
            folder_at(destination) if isinstance(destination, (str, Path)) else destination,
            registry,
            version,
            options or Options(),
            target=target or ParquetParts(),
        )
        return _run(plan, ray_session, on_plan, on_shard)


def _run(
    plan: Plan,
    ray_session: Session,
    on_plan: Callable[[int, int], None],
    on_shard: Callable[[dict[str, Any]], None],
) -> Report:
    folder = plan.destination
    if _is_inside(plan.source, folder):
        raise DestinationError(f"{folder} is inside the source; choose a folder outside of it")
    plan.refuse_foreign()  # before a lock file is put into someone's folder
    with _exclusive(folder):
        plan.claim()
        plan.target.prepare(folder)
        _remove_scratch(folder)
        done = _done(plan)
        on_plan(len(done), sum(done))
        if not all(done):
            todo = array("Q", (index for index, is_done in enumerate(done) if not is_done))
            with closing(migrate_shards(replace(plan, cut=find_cut(plan)), todo, ray_session)) as shards:
                for counts in shards:
                    on_shard(counts)
        return _finish(plan)


def _is_inside(source: Source, folder: Folder) -> bool:
    root = getattr(source, "root", None)
    return (
        isinstance(root, Path)
        and isinstance(folder, LocalFolder)
        and folder.path.resolve().is_relative_to(root.resolve())
    )


def _done(plan: Plan) -> bytearray:
    """A byte a shard: whether it is done."""
    done = bytearray(len(plan.shards))
    for entry in plan.destination.files(DONE):
        name, _, suffix = entry.partition(".")
        if suffix == "json" and name.isdecimal() and int(name) < len(done):
            done[int(name)] = True
    return done


def _finish(plan: Plan) -> Report:
    folder = plan.destination
    plan.target.finish(folder, len(plan.shards))
    effort = plan.options.effort
    report = Report(plan.version, effort.name, effort.budget_ms)
    with_letters: list[int] = []
    for index, content in _contents(folder, map(done_name, range(len(plan.shards)))):
        if content is None:
            raise DestinationError(f"{folder}/{done_name(index)} is gone; migrate again")
        counts = json.loads(content)
        report.add(counts)
        if counts["dead"]:
            with_letters.append(index)
    _remove_scratch(folder)
    report.unread = Unread.of(plan.source)

    def gather(path: Path) -> None:
        with path.open("wb") as letters:
            for _, content in _contents(folder, map(dead_name, with_letters)):
                letters.write(content or b"")

    # The report comes last: with it the migration is finished.
    folder.write(DEAD_LETTERS, gather)
    folder.write(REPORT_PAGE, lambda path: path.write_text(to_html(report), encoding="utf-8"))
    folder.write(REPORT, lambda path: path.write_text(json.dumps(report.to_dict(), indent=1)))
    return report


def _contents(folder: Folder, names: Iterable[str]) -> Iterator[tuple[int, bytes | None]]:
    """Of files, in their order, with their place in it; some are read at once, as an object store answers late."""
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        numbered = enumerate(names)
        while some := list(islice(numbered, 8 * _READS_AT_ONCE)):
            yield from zip((n for n, _ in some), pool.map(folder.read, (name for _, name in some)), strict=True)


def _remove_scratch(folder: Folder) -> None:
    """Files that killed processes had begun and not yet named. With the lock held, no other run is at work on them.

    At the end, too: a node that was lost leaves such files, and others did its shards again.
    """
    if not isinstance(folder, LocalFolder):
        return
    remove_scratch(folder.path, *_NAMES)
    for made in folder.path.glob("_*/"):
        remove_scratch(made)
        for below in made.glob("*/"):
            remove_scratch(below)


@contextmanager
def _exclusive(folder: Folder) -> Iterator[None]:
    """On a filesystem one run is at work. On an object store two of one plan would do the same, to the same result."""
    if not isinstance(folder, LocalFolder):
        yield
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    with (folder.path / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DestinationError(f"another migration is at work in {folder}") from error
        yield
