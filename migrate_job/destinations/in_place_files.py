"""What a migration in place keeps beside a legacy store's records, in `<store>/.nbmf/`.

    run/                     the migration: plan, done markers, dead letters, report, and
      _names.jsonl           the record files that it is about, a shard a line
      _originals/<shard>/    copies of the record files as they were, made before any is replaced
      _replaced/<shard>      names of the files that are replaced, with the SHA-256 of what replaces them
      _new/                  files that are about to replace others
    committing/, rolling-back/    what `run` is called while it is brought to its end
    history/<number>/        reports of migrations that were
    ended/                   what is left of a run that was brought to its end
    superseded/              originals of records that the application wrote or removed before a rollback

The name of the folder is the state: a worker that outlived its run finds nothing to write to once it has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from migrate_job.layout import NAMES
from nbmf.store.files import write_whole
from nbmf.store.record_file import RECORDS_FOLDER

FOLDER = ".nbmf"


@dataclass(frozen=True, slots=True)
class StoreFolders:
    """Where things are in a store."""

    store: Path

    @property
    def records(self) -> Path:
        return self.store / RECORDS_FOLDER

    @property
    def own(self) -> Path:
        return self.store / FOLDER

    @property
    def run(self) -> Path:
        return self.own / "run"

    @property
    def committing(self) -> Path:
        return self.own / "committing"

    @property
    def ended(self) -> Path:
        return self.own / "ended"

    @property
    def rolling_back(self) -> Path:
        return self.own / "rolling-back"


def names_file(run: Path) -> Path:
    """The record files of a run."""
    return run / NAMES


def originals(run: Path, shard: int) -> Path:
    """The folder of a shard's originals."""
    return run / "_originals" / f"{shard:06}"


def replaced_file(run: Path, shard: int) -> Path:
    """Which files of a shard are replaced, by what."""
    return run / "_replaced" / f"{shard:06}.json"


def new_files(run: Path, shard: int) -> Path:
    """The folder of this process's new files."""
    return run / "_new" / f"{shard:06}.{os.getpid()}"


def read_replaced(run: Path, shard: int) -> dict[str, str]:
    """SHA-256 of the new content by file name; empty before any file of the shard was replaced."""
    try:
        found: dict[str, str] = json.loads(replaced_file(run, shard).read_text())
    except FileNotFoundError:
        return {}
    return found


def write_replaced(run: Path, shard: int, digests: dict[str, str]) -> None:
    """Whole, and on disk."""
    path = replaced_file(run, shard)
    path.parent.mkdir(exist_ok=True)  # its parent is the run: gone if that has ended
    write_whole(path, lambda scratch: scratch.write_text(json.dumps(digests)))


def digest(content: bytes) -> str:
    """By which it is told who wrote a file."""
    return hashlib.sha256(content).hexdigest()


def copy_like(content: bytes, path: Path, model: Path, *, times: bool) -> None:
    """Writes a file with the owner and mode (and times) of another; whole, but not yet on disk."""
    found = model.stat()
    scratch = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    scratch.write_bytes(content)
    if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(scratch, found.st_uid, found.st_gid)
    shutil.copymode(model, scratch)
    if times:
        os.utime(scratch, ns=(found.st_atime_ns, found.st_mtime_ns))
    scratch.replace(path)


def read_or_none(path: Path) -> bytes | None:
    """None if there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
