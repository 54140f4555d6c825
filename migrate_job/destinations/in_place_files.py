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
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from migrate_job.layout import NAMES
from nbmf.store.files import write_whole
from nbmf.store.record_file import OWN_FOLDER, RECORDS_FOLDER


@dataclass(frozen=True, slots=True)
class StoreFolders:
    """Where things are in a store."""

    store: Path

    @property
    def records(self) -> Path:
        return self.store / RECORDS_FOLDER

    @property
    def own(self) -> Path:
        return self.store / OWN_FOLDER

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
    """A new folder for new files of a shard."""
    parent = run / "_new"
    parent.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{shard:06}.", dir=parent))


def replaced_shards(run: Path) -> list[int]:
    """The shards of which files may have been replaced."""
    return sorted(int(path.stem) for path in replaced_file(run, 0).parent.glob("*.json"))


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


def copy_like(content: bytes, path: Path, status: os.stat_result, *, times: bool) -> None:
    """Writes a file with the owner and mode (and times) of another; whole, but not yet on disk."""

    def write(scratch: Path) -> None:
        scratch.write_bytes(content)
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(scratch, status.st_uid, status.st_gid)
        scratch.chmod(stat.S_IMODE(status.st_mode))
        if times:
            os.utime(scratch, ns=(status.st_atime_ns, status.st_mtime_ns))

    write_whole(path, write, durable=False)


def read_with_status(path: Path) -> tuple[bytes, os.stat_result] | None:
    """What is in a file, and whose it is; None if there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(), os.fstat(file.fileno())
    except FileNotFoundError:
        return None


def read_or_none(path: Path) -> bytes | None:
    """None if there is no such file."""
    found = read_with_status(path)
    return found[0] if found else None
