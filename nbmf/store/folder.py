"""The folder of a data set: on a filesystem of this machine, or on an object store that pyarrow.fs knows.

Files appear whole or not at all, under names relative to the folder. On a filesystem by a rename, once they are on
disk. An object store has no rename and needs none: an object is there when its upload has ended.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from nbmf.extras import require
from nbmf.places import local_path, shown
from nbmf.store.conditional_writes import WrittenMeanwhile, has_conditions, write_object
from nbmf.store.errors import StoreError
from nbmf.store.files import write_whole

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_T = TypeVar("_T")
_TRIES = 7
_FIRST_PAUSE_S = 0.2
"""Before a request to an object store is made again; doubled each time: 12 s in all."""

_FINAL = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")
"""In what pyarrow says of errors that another try does not mend."""

Fill: TypeAlias = Callable[[Path], object]
"""Writes a file's content to a scratch file on this machine."""


class Folder(Protocol):
    """Where a data set is. Names are relative to it, with `/`. Raises OSError."""

    def make(self, below: str) -> None:
        """Makes a folder within, where folders are: files are then written there, and in no other."""

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is none of the name."""

    def write(self, name: str, fill: Fill) -> None:
        """Makes or replaces a file as a whole; it is durable when this returns."""

    def create(self, name: str, content: bytes) -> bool:
        """Makes a file unless there is one of that name. False if there is: of several who try, one succeeds."""

    def files(self, below: str) -> Iterator[str]:
        """Names of the files directly in a folder within; none if there is no such folder."""

    def entries(self) -> Iterator[str]:
        """Names of all that is directly in the folder."""

    def filesystem(self) -> tuple[pafs.FileSystem, str]:
        """The filesystem, and the folder's path there."""

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A new folder on this machine, for as long as the block lasts."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder at an absolute path of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def make(self, below: str) -> None:
        (self.path / below).mkdir(exist_ok=True)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, fill: Fill) -> None:
        write_whole(self.path / name, fill)

    def create(self, name: str, content: bytes) -> bool:
        """As in Folder; for one caller at a time, who has a lock."""
        if (self.path / name).exists():
            return False
        self.write(name, lambda path: path.write_bytes(content))
        return True

    def files(self, below: str) -> Iterator[str]:
        try:
            yield from (path.name for path in (self.path / below).iterdir())
        except FileNotFoundError:
            return

    def entries(self) -> Iterator[str]:
        return self.files("")

    def filesystem(self) -> tuple[pafs.FileSystem, str]:
        require("a Parquet store", "pyarrow")
        import pyarrow.fs as pafs

        return pafs.LocalFileSystem(), str(self.path)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        made = self.path / name
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder at a URI that pyarrow.fs knows (`s3://`, `gs://`, `hdfs://`). Requests that fail are made again.

    Raises StoreError for a URI that is none.
    """

    uri: str = field(repr=False)

    def __post_init__(self) -> None:
        _of_uri(self.uri)

    def __str__(self) -> str:
        return shown(self.uri).rstrip("/")

    def make(self, below: str) -> None:
        """An object store has none."""

    def read(self, name: str) -> bytes | None:
        filesystem, folder = self.filesystem()

        def read() -> bytes | None:
            try:
                with filesystem.open_input_file(f"{folder}/{name}") as file:
                    content: bytes = file.read()
                    return content
            except FileNotFoundError:
                return None

        return again(read)

    def write(self, name: str, fill: Fill) -> None:
        filesystem, folder = self.filesystem()
        with tempfile.NamedTemporaryFile(prefix="nbmf-") as scratch:
            path = Path(scratch.name)
            fill(path)
            again(lambda: _upload(filesystem, path, f"{folder}/{name}"))

    def create(self, name: str, content: bytes) -> bool:
        """As in Folder where the package obstore is installed; else whoever writes last is found to have succeeded."""
        if has_conditions(self.uri):
            try:
                again(lambda: write_object(self.uri, name, content, None))
            except WrittenMeanwhile:
                return False
            return True
        if self.read(name) is not None:
            return False
        self.write(name, lambda path: path.write_bytes(content))
        return self.read(name) == content

    def files(self, below: str) -> Iterator[str]:
        return self._listed(below, files_only=True)

    def entries(self) -> Iterator[str]:
        return self._listed("", files_only=False)

    def filesystem(self) -> tuple[pafs.FileSystem, str]:
        return _of_uri(self.uri)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=f"nbmf{name}-") as made:
            yield Path(made)

    def _listed(self, below: str, files_only: bool) -> Iterator[str]:
        import pyarrow.fs as pafs

        filesystem, folder = self.filesystem()
        selector = pafs.FileSelector(f"{folder}/{below}".rstrip("/"), allow_not_found=True)
        for info in again(lambda: filesystem.get_file_info(selector)):
            if info.is_file or not files_only:
                yield info.base_name


def folder_at(place: str | Path) -> Folder:
    """The folder at a path or URI. Raises NotALocalPath, StoreError."""
    text = str(place)
    if "://" in text and not text.startswith("file:"):
        return RemoteFolder(text)
    return LocalFolder(local_path(place).expanduser().absolute())


@lru_cache(maxsize=16)
def _of_uri(uri: str) -> tuple[pafs.FileSystem, str]:
    require("a Parquet store", "pyarrow")
    import pyarrow.fs as pafs

    if uri.startswith("s3:"):
        # A small object is then one request in place of three; older releases of pyarrow do not know it.
        with suppress(ValueError, OSError):
            filesystem, path = pafs.FileSystem.from_uri(f"{uri}{'&' if '?' in uri else '?'}allow_delayed_open=true")
            return filesystem, path.rstrip("/")
    try:
        filesystem, path = pafs.FileSystem.from_uri(uri)
    except (OSError, ValueError) as error:
        raise StoreError(f"{shown(uri)}: {str(error).replace(uri, shown(uri))}") from error
    return filesystem, path.rstrip("/")


def _upload(filesystem: pafs.FileSystem, source: Path, target: str) -> None:
    """Closing the stream of an upload that failed would end it with what was sent: its size tells."""
    with source.open("rb") as content, filesystem.open_output_stream(target) as stream:
        shutil.copyfileobj(content, stream, 8 * 1024 * 1024)
    size_bytes, there = source.stat().st_size, filesystem.get_file_info(target).size
    if there != size_bytes:
        raise OSError(f"{target} has {there} bytes after an upload of {size_bytes}")


def again(request: Callable[[], _T]) -> _T:
    """What a request to an object store gives, made again while it fails. Raises the last OSError."""
    for attempt in range(_TRIES):
        try:
            return request()
        except (WrittenMeanwhile, FileNotFoundError):
            raise
        except OSError as error:
            if attempt == _TRIES - 1 or any(word in str(error) for word in _FINAL):
                raise
            time.sleep(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
    raise AssertionError
