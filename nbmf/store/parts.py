"""The Parquet files of a data set: one a shard of the migration that wrote it, keys sorted within it.

Row groups are small, so that one record is read with little around it, and the footer's key-value metadata
holds the part's statistics.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmf.encryption import StoreKey
from nbmf.store.errors import StoreError
from nbmf.store.folder import Folder
from nbmf.store.layout import PART_PREFIX, PART_SUFFIX
from nbmf.store.rows import Row, schema, sealed
from nbmf.store.statistics import Statistics

if TYPE_CHECKING:
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

ROW_GROUP_ROWS = 512
_STATISTICS = b"nbmf.statistics"
_BATCH_ROWS = 2048


def write_part(folder: Folder, name: str, rows: Iterable[Row], key: StoreKey | None = None) -> None:
    """Writes a part, sorted by key and class; what has the same of both stays in its order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda row: (row["key"], row["class"]))
    statistics = json.dumps(Statistics.of_rows(ordered).to_dict())
    table = pa.Table.from_pylist([sealed(row, key) for row in ordered], schema=schema())
    table = table.replace_schema_metadata({_STATISTICS: statistics.encode()})
    compression = {name: "none" if name == "blob" else "zstd" for name in table.schema.names}

    def write(scratch: Path) -> None:
        pq.write_table(table, scratch, row_group_size=ROW_GROUP_ROWS, compression=compression, use_dictionary=["class"])

    folder.write(name, write)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a data set, in name order, which is the store's order."""

    filesystem: pafs.FileSystem
    folder: str
    names: tuple[str, ...]
    digest: str
    """Of the names and sizes: a part that is written anew, added or taken away changes it."""

    def open(self, number: int) -> pq.ParquetFile:
        """A part's file, to be closed by the caller. Raises StoreError."""
        import pyarrow.parquet as pq

        with self.reading(number):
            return pq.ParquetFile(self.filesystem.open_input_file(self._path(number)))

    @contextmanager
    def reading(self, number: int) -> Iterator[None]:
        """What reading a part raises inside is a StoreError that names it."""
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StoreError(f"{self._path(number)} cannot be read: {error}") from error

    def rows(self, columns: Iterable[str]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Batches of rows, with the number of their part. Parts of older versions lack the newer columns.

        Raises StoreError.
        """
        for number in range(len(self.names)):
            with self.reading(number), self.open(number) as file:
                held = [name for name in columns if name in file.schema_arrow.names]
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=held):
                    yield number, batch.to_pylist()

    def _path(self, number: int) -> str:
        return f"{self.folder}/{self.names[number]}"


def list_parts(filesystem: pafs.FileSystem, folder: str) -> Parts:
    """The parts in a folder."""
    import pyarrow.fs as pafs

    found = [
        (info.base_name, info.size)
        for info in filesystem.get_file_info(pafs.FileSelector(folder))
        if info.is_file and info.base_name.startswith(PART_PREFIX) and info.base_name.endswith(PART_SUFFIX)
    ]
    found.sort()
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    return Parts(filesystem, folder, tuple(name for name, _ in found), digest)


def part_statistics(file: pq.ParquetFile) -> Statistics:
    """Those in the footer; of a part that has none, by an older version, counted."""
    held = (file.metadata.metadata or {}).get(_STATISTICS)
    if held is not None:
        return Statistics.from_dict(json.loads(held))
    columns = [name for name in schema().names if name in file.schema_arrow.names and name not in ("key", "meta")]
    found = Statistics()
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        found.merge(Statistics.of_rows(batch.to_pylist()))
    return found
