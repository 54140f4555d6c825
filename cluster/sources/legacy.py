"""Legacy stores: record files, cold artefacts and content-addressed files, any of them encrypted.

    <root>/records/<key>__<class>.json    {"payload", "meta", "cls"}                 key <key>
    <root>/a_<n>.json                     {"blob": base64(zlib(json))}               key cold/a_<n>, class cold
    <root>/<sha256>[.json]                JSON                                       key content/<sha256>, class content
    <root>/<folder>/<sha256>[.json]       JSON                                       key content/<folder>/<sha256>

Keys of records have no `/`, which is written `_` in file names, so no two kinds share one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.legacy_files import cold_artefact, content, legacy_record
from cluster.sources.parsing import too_large
from cluster.sources.shards import Shard
from cluster.sources.stamps import stamp
from cluster.sources.storage import LOCAL, leads_out, raise_if_unavailable
from cluster.sources.walk import HIDDEN, LINKED_FOLDER, LINKED_OUT, LINKED_OUT_DETAIL, NotRead, not_read
from nbmf.encryption import StoreKey
from nbmf.store.record_file import OWN_FOLDER, SUFFIX
from nbmf.store.record_file import RECORDS_FOLDER as RECORDS_FOLDER
from nbmf.store.sorted_names import sorted_names

_SHARD_FILES = 500
_ARTEFACT = re.compile(r"a_[0-9]+\.json", re.ASCII)
_CONTENT = re.compile(r"[0-9a-f]{64}(\.json)?", re.ASCII)

Reader: TypeAlias = Callable[[str, str, bytes, StoreKey | None, int], Item]


def is_legacy_store(root: Path) -> bool:
    """Whether `root` holds anything of a legacy store's layout."""
    if (root / RECORDS_FOLDER).is_dir() or has_legacy_files(root):
        return True
    try:
        return any(_has(folder, _CONTENT) for folder in _folders(root))
    except OSError:
        return False


def has_legacy_files(root: Path) -> bool:
    """Whether `root` itself holds cold artefacts, or content-addressed files."""
    try:
        return _has(root, _ARTEFACT, _CONTENT)
    except OSError:
        return False


def has_legacy_name(path: str) -> bool:
    """Whether a file is called like a cold artefact, or like content by its hash."""
    name = path.rpartition("/")[2]
    return any(pattern.fullmatch(name) for pattern in (_ARTEFACT, _CONTENT))


@dataclass(frozen=True, slots=True)
class LegacyStore:
    """A legacy store. Keys come from file names, so a `/` that was written `_` stays `_`."""

    root: Path
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    key: StoreKey | None = None
    registry: str | None = field(default=None, repr=False)
    follow_links: bool = field(default=False, repr=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        records = self.root / RECORDS_FOLDER
        try:
            if records.is_dir():
                yield from _shards(records, sorted_names(records, SUFFIX))
            yield from _shards(self.root, filter(_ARTEFACT.fullmatch, sorted_names(self.root, ".json")))
            for folder in (self.root, *_folders(self.root)):
                for suffix in ("", ".json"):
                    yield from _shards(folder, filter(_CONTENT.fullmatch, sorted_names(folder, suffix)))
        except OSError as error:
            raise RecordsError(f"{error.filename or self.root}: {error.strerror or error}") from error

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders in the store that are of none of its three kinds."""
        for found in not_read(LOCAL, str(self.root), (), is_record_of_store):
            if not (found.reason in (HIDDEN, LINKED_FOLDER) and _holds_content(Path(found.place))):
                yield found

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        for name, file in zip(shard.span, shard.files, strict=True):
            yield str(Path(shard.path) / name), Shard(shard.path, (name,), (file,), file.size_bytes or 0)

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        folder = Path(shard.path)
        below = "" if folder == self.root else folder.name
        for name in shard.span:
            yield self._item(folder / name, *reader_of(below, name))

    def _item(self, path: Path, reader: Reader, key: str | None) -> Item:
        place = str(path)
        try:
            linked = path.is_symlink() or path.parent.is_symlink()
            if linked and not self.follow_links and path.exists() and leads_out(path, self.root):
                return BadRecord(place, LINKED_OUT, LINKED_OUT_DETAIL, key)
            size = path.stat().st_size
            if size > self.max_record_bytes:
                return too_large(size, self.max_record_bytes).bad(place, key, size)
            data = path.read_bytes()
        except OSError as error:
            raise_if_unavailable(error, place)
            return BadRecord(place, "unreadable", error.strerror or str(error), key)
        return reader(place, key or "", data, self.key, self.max_record_bytes)


def reader_of(folder: str, name: str) -> tuple[Reader, str | None]:
    """What reads a file in such a folder of the store ("" for its own), and the record's key if the file has none."""
    if folder == RECORDS_FOLDER:
        return legacy_record, None
    if _ARTEFACT.fullmatch(name):
        return cold_artefact, f"cold/{Path(name).stem}"
    return content, f"content/{folder}{'/' if folder else ''}{Path(name).stem}"


def is_record_of_store(name: str) -> bool:
    """Whether what has such a path in a store is a record, or nbmf's own."""
    folder, _, file = name.rpartition("/")
    if folder == RECORDS_FOLDER:
        return Path(file).suffix == SUFFIX
    if not folder:
        return name == OWN_FOLDER or has_legacy_name(name)
    return "/" not in folder and _CONTENT.fullmatch(file) is not None


def _holds_content(folder: Path) -> bool:
    try:
        return folder.is_dir() and _has(folder, _CONTENT)
    except OSError:
        return False


def _folders(root: Path) -> list[Path]:
    """Those that may hold content-addressed files."""
    with os.scandir(root) as entries:
        return sorted(root / entry.name for entry in entries if entry.name != RECORDS_FOLDER and _is(entry.is_dir))


def _has(folder: Path, *patterns: re.Pattern[str]) -> bool:
    with os.scandir(folder) as entries:
        return any(_is(entry.is_file) and one.fullmatch(entry.name) for entry in entries for one in patterns)


def _is(question: Callable[[], bool]) -> bool:
    """Of a directory entry; a link that cannot be followed is neither file nor folder."""
    try:
        return question()
    except OSError:
        return False


def _shards(folder: Path, names: Iterator[str]) -> Iterator[Shard]:
    while part := list(islice(names, _SHARD_FILES)):
        files = tuple(stamp(str(folder), name) for name in part)
        yield Shard(str(folder), tuple(part), files, sum(file.size_bytes or 0 for file in files))
