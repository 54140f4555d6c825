"""What a file is known by: its name, size and modification time."""

from __future__ import annotations

from typing import NamedTuple

from cluster.sources.storage import LOCAL, Storage


class FileStamp(NamedTuple):
    """A file of a shard: `name` relative to the shard's path, empty for that path itself.

    Size in bytes and modification time in nanoseconds are None for what cannot be looked at. The inode is not
    here: on FUSE mounts it may differ from mount to mount, and a run could then never go on.
    """

    name: str
    size_bytes: int | None
    mtime_ns: int | None


def stamp(path: str, name: str = "", storage: Storage = LOCAL) -> FileStamp:
    """The stamp of `path / name`, links followed."""
    found = storage.state(join(path, name))
    return FileStamp(name, found.size_bytes, found.mtime_ns)


def join(path: str, name: str) -> str:
    """The path of what has such a name in a folder; without a name, `path` itself."""
    return f"{path}/{name}" if name else path
