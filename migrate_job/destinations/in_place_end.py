"""The end of a migration in place: commit removes the originals, rollback puts them back.

Killed at any point, the same call goes on.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import DestinationError
from migrate_job.destinations.in_place_files import (
    StoreFolders,
    digest,
    originals,
    read_or_none,
    read_replaced,
    replaced_shards,
)
from migrate_job.layout import LOCK
from nbmf.store.files import remove_scratch, sync, write_whole
from nbmf.store.layout import DEAD_LETTERS, PLAN, REPORT, REPORT_PAGE
from nbmf.store.record_locks import record_lock

ROLLBACK = "rollback.json"
_HISTORY = "_history"


@dataclass(slots=True)
class Rollback:
    """What a rollback did. Records that the application wrote or removed since are left so, their originals kept."""

    restored: int = 0
    written_since: list[str] = field(default_factory=list)
    removed_since: list[str] = field(default_factory=list)
    originals: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def commit(store: Path) -> int:
    """Makes a finished migration in place final, and tells how many originals were removed.

    Raises DestinationError if there is none, or it is not finished.
    """
    folders = StoreFolders(store)
    with _ending(folders, folders.committing, folders.rolling_back) as begun:
        if not begun and not (folders.run / REPORT).exists():
            raise DestinationError(
                f"the migration of {store} is not finished; run `nbmf migrate {store} --in-place` again, "
                "or roll it back"
            )
        if not begun:
            folders.run.rename(folders.committing)
            sync(folders.own)
        run = folders.committing
        removed = sum(len(read_replaced(run, shard)) for shard in replaced_shards(run))
        _to_history(folders, run)
        return removed


def rollback(store: Path) -> Rollback:
    """Puts the originals of a migration in place back, finished or not.

    Raises DestinationError if there is none, or it is being committed.
    """
    folders = StoreFolders(store)
    with _ending(folders, folders.rolling_back, folders.committing) as begun:
        if not begun:
            folders.run.rename(folders.rolling_back)
            sync(folders.own)
        run = folders.rolling_back
        if not (run / _HISTORY).exists():
            found = Rollback()
            for shard in replaced_shards(run):
                _restore(folders, run, shard, found)
            sync(folders.records)
            write_whole(run / ROLLBACK, lambda path: path.write_text(json.dumps(found.to_dict(), indent=1)))
        told = _to_history(folders, run) / ROLLBACK
        return Rollback(**json.loads(told.read_text()))


def _restore(folders: StoreFolders, run: Path, shard: int, found: Rollback) -> None:
    kept = originals(run, shard)
    for name, new_digest in read_replaced(run, shard).items():
        original = read_or_none(kept / name)
        if original is None:
            found.restored += 1  # before this rollback was killed
            continue
        with record_lock(folders.store, name):
            now = read_or_none(folders.records / name)
            replaced = now is not None and digest(now) == new_digest
            if replaced:
                (kept / name).replace(folders.records / name)
        if replaced or now == original:
            found.restored += 1
        else:
            (found.removed_since if now is None else found.written_since).append(name)
            found.originals = str(_set_aside(folders, kept / name))


def _set_aside(folders: StoreFolders, original: Path) -> Path:
    """Beside what earlier rollbacks left there. Linked: a rollback that is killed tells of it again."""
    superseded = folders.own / "superseded"
    superseded.mkdir(exist_ok=True)
    remove_scratch(superseded)
    content = original.read_bytes()
    target, number = superseded / original.name, 0
    while target.exists() and target.read_bytes() != content:
        number += 1
        target = superseded / f"{original.name}.{number}"
    write_whole(target, lambda path: shutil.copy2(original, path))
    return superseded


def _to_history(folders: StoreFolders, run: Path) -> Path:
    """Moves the reports to a folder of their own, and then nothing is left of the run."""
    history, place = folders.own / "history", run / _HISTORY
    history.mkdir(exist_ok=True)
    if not place.exists():  # chosen once: killed and called again, the reports stay together
        number = 1 + max((int(path.name) for path in history.iterdir() if path.name.isdigit()), default=0)
        write_whole(place, lambda path: path.write_text(f"{number:04}"))
    target = history / place.read_text()
    target.mkdir(exist_ok=True)
    for name in (REPORT, REPORT_PAGE, DEAD_LETTERS, ROLLBACK):
        if (run / name).exists():
            (run / name).replace(target / name)
    sync(target)
    shutil.rmtree(folders.ended, ignore_errors=True)
    run.rename(folders.ended)
    sync(folders.own)
    shutil.rmtree(folders.ended)
    return target


@contextmanager
def _ending(folders: StoreFolders, ending: Path, other: Path) -> Iterator[bool]:
    """With the run locked: whether this end was begun before."""
    if other.exists():
        raise DestinationError(f"{other} is there: that was begun, and has to be brought to its end first")
    begun = ending.exists()
    run = ending if begun else folders.run
    if not begun and not (run / PLAN).exists():
        shutil.rmtree(folders.ended, ignore_errors=True)  # of an end that was killed as it removed this
        raise DestinationError(f"{folders.store} has no migration in place to commit or roll back")
    with (run / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DestinationError(f"a migration, commit or rollback is at work in {folders.store}") from error
        yield begun
