"""A legacy store on an object store: the layout of `legacy`, listed in one go and read with some requests at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from cluster.sources import legacy
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, Item
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.legacy import is_record_of_store, reader_of
from cluster.sources.parsing import too_large
from cluster.sources.shards import REQUESTS_AT_ONCE, Shard, changed
from cluster.sources.stamps import FileStamp
from cluster.sources.storage import SourceUnavailable, Storage
from cluster.sources.walk import NotRead, not_read
from nbmf.encryption import StoreKey
from nbmf.store.folder import again

_Listed: TypeAlias = tuple[str, FileStamp]
"""A folder, relative to the store, and a file in it."""


@dataclass(frozen=True, slots=True)
class RemoteLegacyStore:
    """A legacy store in a folder of another storage than this machine's. The listing of its files is held at once."""

    storage: Storage
    root: str
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    key: StoreKey | None = None
    registry: str | None = field(default=None, repr=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        folders: dict[str, list[FileStamp]] = {}
        for folder, file in self._listed():
            folders.setdefault(folder, []).append(file)
        for folder, files in sorted(folders.items()):
            ordered = iter(sorted(files))
            path = f"{self.root}/{folder}".rstrip("/")
            while part := tuple(islice(ordered, legacy._SHARD_FILES)):
                size_bytes = sum(file.size_bytes or 0 for file in part)
                yield Shard(path, tuple(file.name for file in part), part, size_bytes, self.storage)

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders in the store that are of none of its kinds."""
        return not_read(self.storage, self.root, (), is_record_of_store)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        for file in shard.files:
            alone = Shard(shard.path, (file.name,), (file,), file.size_bytes or 0, self.storage)
            yield self.storage.show(f"{shard.path}/{file.name}"), alone

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            files = iter(shard.files)
            while some := list(islice(files, 4 * REQUESTS_AT_ONCE)):
                yield from pool.map(lambda file: self._item(shard, file), some)

    def _item(self, shard: Shard, file: FileStamp) -> Item:
        path = f"{shard.path}/{file.name}"
        place = self.storage.show(path)
        reader, key = reader_of(shard.path.removeprefix(self.root).strip("/"), file.name)
        size_bytes = file.size_bytes or 0
        if size_bytes > self.max_record_bytes:
            return too_large(size_bytes, self.max_record_bytes).bad(place, key, size_bytes)
        return reader(place, key or "", self._content(shard, file.name), self.key, self.max_record_bytes)

    def _content(self, shard: Shard, name: str) -> bytes:
        """Whatever stands in the way of reading an object is no fault of the record in it."""
        path = f"{shard.path}/{name}"
        try:
            return again(lambda: self.storage.content(path))
        except FileNotFoundError as error:
            raise changed(shard, name, "it is gone") from error
        except OSError as error:
            raise SourceUnavailable(f"{self.storage.show(path)} cannot be read: {error}") from error

    def _listed(self) -> Iterator[_Listed]:
        for info in self.storage.all_below(self.root):
            name = info.path.removeprefix(f"{self.root}/")
            if info.is_file and is_record_of_store(name) and not name.startswith("."):
                folder, _, file = name.rpartition("/")
                yield folder, FileStamp(file, info.size, info.mtime_ns)
