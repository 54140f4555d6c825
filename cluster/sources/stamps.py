"""Whether a file is still what it was when a source was planned: by size and modification time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster.errors import RecordsError

if TYPE_CHECKING:
    from cluster.sources.base import Shard


class SourceChanged(RecordsError):
    """A file was written to, replaced or removed after its source was planned."""

    code = "source_changed"


class FileStamp(NamedTuple):
    """A file of a shard: `name` relative to the shard's path, empty for that path itself.

    Size in bytes and modification time in nanoseconds are None for what cannot be looked at. The inode is not
    here: on FUSE mounts it may differ from mount to mount, and a run could then never go on.
    """

    name: str
    size_bytes: int | None
    mtime_ns: int | None


def stamp(path: Path, name: str = "") -> FileStamp:
    """The stamp of `path / name`, links followed."""
    try:
        found = (path / name).stat()
    except OSError:
        return FileStamp(name, None, None)
    return stamp_of(found, name)


def stamp_of(found: os.stat_result, name: str = "") -> FileStamp:
    """The stamp that a stat of an open file gives."""
    return FileStamp(name, found.st_size, found.st_mtime_ns)


def check_unchanged(shard: Shard) -> None:
    """Raises SourceChanged if a file of the shard is no longer what it was when the shard was planned."""
    for planned in shard.files:
        now = stamp(Path(shard.path), planned.name)
        if now != planned:
            raise SourceChanged(
                f"{Path(shard.path) / planned.name} changed after the migration was planned ({_change(planned, now)}); "
                "stop what writes to the source, then migrate it into a new folder"
            )


def _change(planned: FileStamp, now: FileStamp) -> str:
    if now.size_bytes is None:
        return "it is gone, or cannot be looked at"
    if planned.size_bytes is None:
        return "it was not there then"
    if now.size_bytes != planned.size_bytes:
        return f"{planned.size_bytes} bytes then, {now.size_bytes} now"
    return "modified since, of the same size"
