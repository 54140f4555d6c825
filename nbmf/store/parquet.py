"""A Parquet data set as a store: one record is found by the key index, or without a sound one by a scan."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nbmf.encryption import StoreKey
from nbmf.store.base import Store
from nbmf.store.errors import IndexUnusable, StoreError, StoreWarning
from nbmf.store.index import Index
from nbmf.store.layout import PART_PREFIX, PART_SUFFIX, PLAN
from nbmf.store.parts import list_parts, part_statistics
from nbmf.store.record import RecordKey, StoredRecord
from nbmf.store.rows import RECORD_COLUMNS, to_record
from nbmf.store.statistics import Statistics

if TYPE_CHECKING:
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

_OPEN_FILES = 64


class ParquetStore(Store):
    """Parts in a folder of any pyarrow filesystem; see `Store`. Not for several threads at once."""

    def __init__(self, filesystem: pafs.FileSystem, folder: str, key: StoreKey | None = None) -> None:
        self._parts = list_parts(filesystem, folder)
        self._key = key
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._index: Index | None = None
        self._without_index: IndexUnusable | None = None
        self._records: int | None = None
        try:
            self._index = Index.open(self._parts)
            self._records = self._index.records
        except IndexUnusable as problem:
            self._without_index = problem
        if self._index is None and not self._parts.names and not _has_plan(filesystem, folder):
            raise StoreError(f"{folder} is no store: it has no {PART_PREFIX}*{PART_SUFFIX}, nor records/")

    def __str__(self) -> str:
        return self._parts.folder

    def get_all(self, key: str, record_class: str | None = None) -> list[StoredRecord]:
        rows = [row for row in self._find(key, RECORD_COLUMNS) if record_class is None or row["class"] == record_class]
        return [to_record(row, self._key) for row in rows]

    def classes_of(self, key: str) -> list[str]:
        return sorted({row["class"] for row in self._find(key, ("key", "class"))})

    def iterate(self) -> Iterator[StoredRecord]:
        for _, batch in self._parts.rows(RECORD_COLUMNS):
            for row in batch:
                yield to_record(row, self._key)

    def keys(self) -> Iterator[RecordKey]:
        for _, batch in self._parts.rows(("key", "class")):
            for row in batch:
                yield RecordKey(row["key"], row["class"])

    def statistics(self) -> Statistics:
        found = Statistics()
        for number in range(len(self._parts.names)):
            with self._parts.reading(number), self._parts.open(number) as file:
                found.merge(part_statistics(file))
        return found

    def __len__(self) -> int:
        if self._records is None:
            records = 0
            for number in range(len(self._parts.names)):
                with self._parts.open(number) as file:
                    records += file.metadata.num_rows
            self._records = records
        return self._records

    def close(self) -> None:
        for file in self._files.values():
            file.close(force=True)
        self._files.clear()
        if self._index is not None:
            self._index.close()

    def _find(self, key: str, columns: Iterable[str]) -> list[dict[str, Any]]:
        try:
            key.encode()
        except UnicodeEncodeError:
            return []  # no store holds such a key
        if self._index is not None:
            try:
                return self._find_by_index(self._index, key, columns)
            except IndexUnusable as problem:
                self._without_index = problem
                self._index.close()
                self._index = None
        if self._without_index is not None and self._parts.names:
            self._warn(self._without_index)
            self._without_index = None  # told once
        return list(self._scan(key, columns))

    def _find_by_index(self, index: Index, key: str, columns: Iterable[str]) -> list[dict[str, Any]]:
        found = []
        for part, places in groupby(index.find(key), key=lambda place: place[0]):
            if part >= len(self._parts.names):
                raise IndexUnusable(f"the index names part {part}; there are {len(self._parts.names)}")
            with self._parts.reading(part):
                rows = _read(self._file(part), [row for _, row in places], columns)
            found += [row for row in rows if row["key"] == key]  # another key may have the same hash
        return found

    def _scan(self, key: str, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Only row groups whose keys, by the footer, reach from before to after it are read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for part in range(len(self._parts.names)):
            file = self._file(part)
            first = 0
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                with self._parts.reading(part):
                    if _may_hold(group, key):
                        keys = file.read_row_group(number, columns=["key"]).column("key")
                        hits = pc.indices_nonzero(pc.equal(keys, pa.scalar(key))).to_pylist()
                        yield from _read(file, [first + hit for hit in hits], columns)
                first += group.num_rows

    def _file(self, part: int) -> pq.ParquetFile:
        """A part's file, kept open while it is among the last that were used."""
        file = self._files.pop(part, None) or self._parts.open(part)
        self._files[part] = file
        if len(self._files) > _OPEN_FILES:
            _, oldest = self._files.popitem(last=False)
            oldest.close(force=True)
        return file

    def _warn(self, problem: IndexUnusable) -> None:
        warnings.warn(
            f"{problem}; records of {self} are found by a scan, which is slower. "
            "Run the same `nbmf migrate` again, or nbmf.store.build_index(folder), to make it anew",
            StoreWarning,
            stacklevel=4,
        )


def _has_plan(filesystem: pafs.FileSystem, folder: str) -> bool:
    """Whether a migration was begun there: of nothing, in a version without an index, it left nothing else."""
    return bool(filesystem.get_file_info(f"{folder}/{PLAN}").is_file)


def _may_hold(group: Any, key: str) -> bool:
    statistics = group.column(0).statistics
    if group.column(0).path_in_schema != "key" or statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= key <= statistics.max)


def _read(file: pq.ParquetFile, rows: list[int], columns: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of a file, in their order; whole row groups are read. Raises IndexUnusable if one is not there."""
    held = [name for name in columns if name in file.schema_arrow.names]
    found: list[dict[str, Any]] = []
    first, wanted = 0, list(rows)
    for number in range(file.num_row_groups):
        end = first + file.metadata.row_group(number).num_rows
        inside = [row - first for row in wanted if row < end]
        if inside:
            group = file.read_row_group(number, columns=held)
            found += [row for at in inside for row in group.slice(at, 1).to_pylist()]  # `take` imports pandas
            wanted = wanted[len(inside) :]
        first = end
    if wanted:
        raise IndexUnusable(f"the index names row {wanted[0]} of a part with {first}")
    return found
