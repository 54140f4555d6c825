"""An nbmf data set, to be re-encoded with another version: a folder of `part-*.parquet` as migrations write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.blobs import BATCH_RECORDS
from cluster.sources.parquet import DAMAGE, open_shard, row_fields, row_groups, split_rows
from cluster.sources.storage import LOCAL, Storage
from cluster.sources.stored_rows import COLUMNS, ENCRYPTED, StoredRow, checked_row, decoded_rows, refuse_unfinished
from nbmf.encryption import StoreKey


@dataclass(frozen=True, slots=True)
class DataSet:
    """Parts of a data set. Keys, classes, meta and previews stay what they are; blobs are decoded."""

    paths: tuple[str, ...]
    registry: str | None = field(default=None, repr=False)
    key: StoreKey | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for folder in sorted({path.rpartition("/")[0] for path in self.paths}):
            refuse_unfinished(self.storage, folder)
        for path in self.paths:
            yield from row_groups(path, self.storage, _check_columns)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_rows(shard)

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_rows(self._rows(shard), self.registry, self.max_record_bytes)

    def _rows(self, shard: Shard) -> Iterator[StoredRow | BadRecord]:
        shown = self.storage.show(shard.path)
        group, *only = shard.span
        number = 0
        try:
            with open_shard(shard) as file:
                columns = [name for name in file.schema_arrow.names if name in (*COLUMNS, ENCRYPTED)]
                for batch in file.iter_batches(batch_size=BATCH_RECORDS, row_groups=[group], columns=columns):
                    for at in range(batch.num_rows):
                        if number in only or not only:
                            yield self._row(batch.slice(at, 1), f"{shown}:{group}:{number}")
                        number += 1
        except DAMAGE as error:
            yield BadRecord(f"{shown}:{group}:{number}", "damaged_file", str(error))

    def _row(self, batch: pa.RecordBatch, place: str) -> StoredRow | BadRecord:
        fields = row_fields(batch, place)
        if isinstance(fields, BadRecord):
            return fields
        return checked_row(fields, place, self.key, self.max_record_bytes)


def is_data_set(storage: Storage, path: str) -> bool:
    """Whether a Parquet file has the columns of a data set's part."""
    try:
        with storage.open(path) as opened, pq.ParquetFile(opened) as file:
            return set(COLUMNS) <= set(file.schema_arrow.names)
    except DAMAGE:
        return False


def _check_columns(schema: pa.Schema, shown: str) -> None:
    missing = sorted(set(COLUMNS) - set(schema.names))
    if missing:
        raise RecordsError(f"{shown} is no part of a data set: it has no column {', '.join(missing)}")
