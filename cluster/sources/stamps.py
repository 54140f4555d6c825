"""Whether a file is still what it was when a source was planned: by size and modification time."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from cluster.errors import RecordsError
from cluster.sources.storage import LOCAL, Storage, raise_if_unavailable

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


def stamp(path: str, name: str = "", storage: Storage = LOCAL) -> FileStamp:
    """The stamp of `path / name`, links followed."""
    found = storage.state(join(path, name))
    return FileStamp(name, found.size_bytes, found.mtime_ns)


def check_unchanged(shard: Shard) -> None:
    """Raises SourceChanged if a file of the shard is no longer what it was when the shard was planned."""
    for planned in shard.files:
        now = stamp(shard.path, planned.name, shard.storage)
        if now != planned:
            raise changed(shard, planned.name, _change(planned, now))


def open_planned(shard: Shard) -> BinaryIO:
    """The first of a shard's files. Raises SourceChanged if it is gone, SourceUnavailable."""
    try:
        return shard.storage.open(shard.file)
    except OSError as error:
        raise_if_unavailable(error, shard.storage.show(shard.file))
        name = shard.files[0].name if shard.files else ""
        raise changed(shard, name, f"it cannot be opened: {error.strerror or error}") from error


def changed(shard: Shard, name: str, how: str) -> SourceChanged:
    """The error for a file of a shard."""
    return SourceChanged(
        f"{shard.storage.show(join(shard.path, name))} changed after the migration was planned ({how}); "
        "stop what writes to the source, then migrate it into a new folder"
    )


def join(path: str, name: str) -> str:
    """The path of what has such a name in a folder; without a name, `path` itself."""
    return f"{path}/{name}" if name else path


def _change(planned: FileStamp, now: FileStamp) -> str:
    if now.size_bytes is None:
        return "it is gone, or cannot be looked at"
    if planned.size_bytes is None:
        return "it was not there then"
    if now.size_bytes != planned.size_bytes:
        return f"{planned.size_bytes} bytes then, {now.size_bytes} now"
    return "modified since, of the same size"
