"""Where files are: on this machine, or on any filesystem that pyarrow.fs knows (`s3://`, `gs://`, `hdfs://`)."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow.fs as pafs

from cluster.errors import RecordsError
from nbmf.places import is_uri, shown

_BUFFER_BYTES = 256 * 1024
_AWAY = frozenset(
    {
        *(errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN),
        *(errno.ENODEV, errno.ENXIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    }
)
"""Of a mount that is away, or a machine that has no more to give: other files cannot be read either."""


class SourceUnavailable(RecordsError):
    """Files that were there cannot be read now: a disk, a mount or a network fails. No record is at fault."""

    code = "source_unavailable"


def leads_out(path: str | Path, root: str | Path) -> bool:
    """Whether links, on the way to a file below a folder or the file itself, lead to a place that is not below it."""
    real, real_root = os.path.realpath(path), os.path.realpath(root)
    return real != real_root and not real.startswith(real_root.rstrip(os.sep) + os.sep)


def raise_if_unavailable(error: OSError, shown: str) -> None:
    """Raises SourceUnavailable for an error that is not one file's."""
    if error.errno in _AWAY:
        raise SourceUnavailable(f"{shown} cannot be read: {_text(error)}") from error


class FileState(NamedTuple):
    """Size in bytes and modification time in nanoseconds, None for what cannot be looked at or is not told."""

    size_bytes: int | None = None
    mtime_ns: int | None = None
    is_file: bool = False
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """A filesystem: this machine's, or that of a URI, or a given one of pyarrow. Pickled, it is found again.

    The repr has the kind of filesystem only: a URI may hold credentials.
    """

    kind: str = "local"
    uri: str | None = field(default=None, repr=False)
    filesystem: pafs.FileSystem | None = field(default=None, repr=False, compare=False)
    follow_links: bool = field(default=False, repr=False)  # out of a folder whose files are read

    @property
    def is_local(self) -> bool:
        return self.uri is None and self.filesystem is None

    def show(self, path: str) -> str:
        """The path as people know it."""
        return path if self.uri is None else f"{self.kind}://{path}"

    def state(self, path: str) -> FileState:
        """What is known of a file or folder; links are followed. Raises SourceUnavailable."""
        if self.is_local:
            local = Path(path)
            try:
                found = local.stat()
            except OSError as error:
                raise_if_unavailable(error, path)
                return FileState()
            return FileState(found.st_size, found.st_mtime_ns, local.is_file(), local.is_dir())
        try:
            info = self._filesystem().get_file_info(path)
        except OSError as error:
            raise SourceUnavailable(f"{self.show(path)}: {_text(error)}") from error
        return FileState(info.size, info.mtime_ns, info.is_file, info.type == pafs.FileType.Directory)

    def names(self, folder: str, suffixes: tuple[str, ...]) -> list[str]:
        """Names with such endings of the files in a folder, sorted, and of links to nothing. Raises RecordsError."""
        try:
            if self.is_local:
                with os.scandir(folder) as entries:
                    wanted = (entry for entry in entries if entry.name.endswith(suffixes))
                    return sorted(one.name for one in wanted if one.is_file() or not Path(one.path).exists())
            found = self._filesystem().get_file_info(pafs.FileSelector(folder))
            return sorted(info.base_name for info in found if info.is_file and info.base_name.endswith(suffixes))
        except OSError as error:
            raise RecordsError(f"{self.show(folder)}: {_text(error)}") from error

    def all_below(self, folder: str) -> list[pafs.FileInfo]:
        """All that is in a folder and those below it, on a filesystem that is not local. Raises RecordsError."""
        try:
            found: list[pafs.FileInfo] = self._filesystem().get_file_info(pafs.FileSelector(folder, recursive=True))
        except OSError as error:
            raise RecordsError(f"{self.show(folder)}: {_text(error)}") from error
        return found

    def open(self, path: str) -> BinaryIO:
        """A file for reading, buffered; what reading it raises is SourceUnavailable. Raises OSError."""
        raw = Path(path).open("rb", buffering=0) if self.is_local else self._filesystem().open_input_file(path)  # noqa: SIM115
        return cast(BinaryIO, io.BufferedReader(_Guarded(raw, self.show(path)), _BUFFER_BYTES))

    def content(self, path: str) -> bytes:
        """All of a file, on a filesystem that is not local. Raises OSError."""
        with self._filesystem().open_input_file(path) as file:
            content: bytes = file.read()
        return content

    def _filesystem(self) -> pafs.FileSystem:
        return self.filesystem if self.filesystem is not None else _of_uri(self.uri or "")[0]


LOCAL = Storage()


def printable(name: str) -> str:
    """A file's name as text: bytes in it that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def locate(location: str | Path, filesystem: pafs.FileSystem | None = None) -> tuple[Storage, str]:
    """The storage that a path or URI is on, and its path there. Raises RecordsError."""
    text = str(location)
    if filesystem is not None:
        return Storage(filesystem.type_name, None, filesystem), text.rstrip("/")
    if not is_uri(text):
        return LOCAL, str(Path(text).expanduser().absolute())
    found, path = _of_uri(text)
    if isinstance(found, pafs.LocalFileSystem):
        return LOCAL, str(Path(path).absolute())
    return Storage(text.partition("://")[0], text), path.rstrip("/")


@lru_cache(maxsize=16)
def _of_uri(uri: str) -> tuple[pafs.FileSystem, str]:
    try:
        found: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(uri)
        return found
    except (OSError, ValueError) as error:
        problem = _text(error).replace(uri, shown(uri))
        raise RecordsError(f"{shown(uri)}: no filesystem that can be read: {problem}") from error


class _Guarded(io.RawIOBase):
    """A file whose failures are told from damage that a parser finds in its content."""

    def __init__(self, raw: Any, shown: str) -> None:
        self._raw = raw
        self._shown = shown

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = self._raw.readinto(buffer)
        except OSError as error:
            raise SourceUnavailable(f"{self._shown} cannot be read: {_text(error)}") from error
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        position: int = self._raw.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._raw.tell()
        return position

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
