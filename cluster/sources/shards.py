"""Parts of a source, and whether their files are still what they were when it was planned."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from cluster.errors import RecordsError
from cluster.sources.stamps import FileStamp, join, stamp
from cluster.sources.storage import LOCAL, Storage, printable, raise_if_unavailable

REQUESTS_AT_ONCE = 16
"""To an object store."""


class SourceChanged(RecordsError):
    """A file was written to, replaced or removed after its source was planned."""

    code = "source_changed"


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a source that one task reads. `span` is whatever its source needs to find it, as JSON values.

    `files` are the files it is in, as they were when it was planned; `size_bytes` is its share of them, about.
    """

    path: str
    span: tuple[Any, ...] = field(default=())
    files: tuple[FileStamp, ...] = field(default=())
    size_bytes: int = 0
    storage: Storage = LOCAL

    @property
    def file(self) -> str:
        """The path of the first of its files."""
        return join(self.path, self.files[0].name if self.files else "")

    @property
    def file_name(self) -> str:
        """What that file is called in keys: its name, and that of the folders in which it is below the source's."""
        return printable((self.files[0].name if self.files else "") or PurePosixPath(self.path).name)


def below(shard: Shard, root: str | None) -> Shard:
    """A shard of one file; of the folder `root`, where the file is not directly in it: keys name the folders then."""
    name = shard.path.removeprefix(f"{root}/")
    if root is None or "/" not in name:
        return shard
    return replace(shard, path=root, files=(shard.files[0]._replace(name=name),))


def check_unchanged(shard: Shard) -> None:
    """Raises SourceChanged if a file of the shard is no longer what it was when the shard was planned."""
    for planned, now in zip(shard.files, _stamps_now(shard), strict=True):
        if now != planned:
            raise changed(shard, planned.name, _change(planned, now))


def _stamps_now(shard: Shard) -> Iterator[FileStamp]:
    """Of many files of an object store some are asked for at once: each is a request."""
    names = [file.name for file in shard.files]
    if shard.storage.is_local or len(names) == 1:
        yield from (stamp(shard.path, name, shard.storage) for name in names)
        return
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        yield from pool.map(lambda name: stamp(shard.path, name, shard.storage), names)


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


def _change(planned: FileStamp, now: FileStamp) -> str:
    if now.size_bytes is None:
        return "it is gone, or cannot be looked at"
    if planned.size_bytes is None:
        return "it was not there then"
    if now.size_bytes != planned.size_bytes:
        return f"{planned.size_bytes} bytes then, {now.size_bytes} now"
    return "modified since, of the same size"
