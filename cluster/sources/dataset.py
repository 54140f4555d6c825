"""An nbmf data set, to be re-encoded with another version: a folder of `part-*.parquet` as migrations write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.arrow_values import converter
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item
from cluster.sources.kinds import PARQUET_SUFFIXES
from cluster.sources.parquet import DAMAGE, Chosen, row_groups, rows_of, split_rows
from cluster.sources.shards import Shard
from cluster.sources.storage import LOCAL, Storage
from cluster.sources.stored_rows import COLUMNS, ENCRYPTED, StoredRow, checked_row, decoded_rows, refuse_unfinished
from cluster.sources.walk import NotRead, not_read
from nbmf.batches import BATCH_RECORDS
from nbmf.encryption import StoreKey
from nbmf.store.layout import DEAD_LETTERS, PART_PREFIX, REPORT, REPORT_PAGE

_NAMES = (*COLUMNS, ENCRYPTED)
_BESIDE_PARTS = (DEAD_LETTERS, REPORT, REPORT_PAGE)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Parts of a data set. Keys, classes, meta and previews stay what they are; blobs are decoded."""

    paths: tuple[str, ...]
    registry: str | None = field(default=None, repr=False)
    key: StoreKey | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL
    root: str | None = field(default=None, repr=False, compare=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for folder in sorted({path.rpartition("/")[0] for path in self.paths}):
            refuse_unfinished(self.storage, folder)
        for path in self.paths:
            yield from row_groups(path, self.storage, _choose)

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders beside the parts that are not the migration's own."""
        return not_read(self.storage, self.root, self.paths, is_own)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_rows(shard)

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_rows(self._rows(shard), self.registry, self.max_record_bytes)

    def _rows(self, shard: Shard) -> Iterator[StoredRow | BadRecord]:
        for row in rows_of(shard, BATCH_RECORDS, _choose):
            if isinstance(row, BadRecord):
                yield row
            else:
                fields = {name: row.fields.get(name) for name in _NAMES}
                yield checked_row(fields, row.place, self.key, self.max_record_bytes)


def has_columns(storage: Storage, path: str) -> bool:
    """Whether a Parquet file has the columns of a data set's part."""
    try:
        with storage.open(path) as opened, pq.ParquetFile(opened) as file:
            return set(COLUMNS) <= set(file.schema_arrow.names)
    except DAMAGE:
        return False


def is_data_set(storage: Storage, folder: str) -> bool:
    """Whether a folder is a data set: its first part tells."""
    return any(has_columns(storage, part) for part in parts_in(storage, folder)[:1])


def parts_in(storage: Storage, folder: str) -> tuple[str, ...]:
    """Files in a folder that may be parts."""
    return tuple(f"{folder}/{name}" for name in storage.names(folder, PARQUET_SUFFIXES) if is_part(name))


def is_part(path: str) -> bool:
    """Whether a Parquet file is called like a part."""
    return path.rpartition("/")[2].startswith(PART_PREFIX)


def is_own(name: str) -> bool:
    """Whether something in a data set's folder is of the migration that wrote it, and holds no more records."""
    return "/" not in name and (name.startswith(("_", *_BESIDE_PARTS)) or name.startswith(PART_PREFIX))


def _choose(schema: pa.Schema, shown: str) -> Chosen:
    missing = sorted(set(COLUMNS) - set(schema.names))
    if missing:
        raise RecordsError(f"{shown} is no part of a data set: it has no column {', '.join(missing)}")
    return Chosen({name: converter(schema.field(name).type, name) for name in _NAMES if name in schema.names})
