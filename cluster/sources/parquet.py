"""Parquet: a record a row, one column the payload."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.parsing import record_from_payload, too_large
from cluster.sources.stamps import changed, stamp
from cluster.sources.storage import LOCAL, Storage
from nbmf import json_text

BATCH_ROWS = 2000
DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for a file that is not as it should be."""


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files. With `parse_json`, text that is a JSON object or array is read as that value.

    Without a `payload_field`, the column `payload` is taken, or the only column of text or bytes.
    """

    paths: tuple[str | Path, ...]
    payload_field: str | None = None
    key_field: str | None = None
    class_field: str | None = None
    parse_json: bool = False
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL
    registry: str | None = field(default=None, repr=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for path in self.paths:
            yield from row_groups(str(path), self.storage, self._payload_column)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_rows(shard)

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        shown, name = self.storage.show(shard.path), PurePosixPath(shard.path).name
        group, *only = shard.span
        number = 0
        try:
            with open_shard(shard) as file:
                payload_column = self._payload_column(file.schema_arrow, shown)
                wanted = (payload_column, self.key_field, self.class_field)
                columns = [column for column in file.schema_arrow.names if column in wanted]
                for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns):
                    for at in range(batch.num_rows):
                        if number in only or not only:
                            here = f"{group}:{number}"
                            yield self._row(batch.slice(at, 1), payload_column, f"{shown}:{here}", f"{name}:{here}")
                        number += 1
        except DAMAGE as error:
            yield BadRecord(f"{shown}:{group}:{number}", "damaged_file", str(error))

    def _row(self, row: pa.RecordBatch, payload_column: str, place: str, row_key: str) -> Item:
        fields = row_fields(row, place)
        if isinstance(fields, BadRecord):
            return fields
        value = fields[payload_column]
        found_key = fields[self.key_field] if self.key_field else None
        found_class = fields[self.class_field] if self.class_field else None
        key = row_key if found_key is None else str(found_key)
        record_class = "" if found_class is None else str(found_class)
        size = len(value.encode()) if type(value) is str else len(value) if type(value) is bytes else 0
        if size > self.max_record_bytes:
            return too_large(size, self.max_record_bytes).bad(place, key, size)
        if self.parse_json and type(value) is str and value[:1] in ("{", "["):
            with contextlib.suppress(ValueError):  # text that only begins like JSON
                value = json_text.loads(value)
        return record_from_payload(key, record_class, {}, value, place, size)

    def _payload_column(self, schema: pa.Schema, shown: str) -> str:
        texts = [f.name for f in schema if _is_text(f.type)]
        if self.payload_field:
            candidates = [self.payload_field] if self.payload_field in schema.names else []
        else:
            candidates = ["payload"] if "payload" in schema.names else texts
        if len(candidates) != 1:
            raise RecordsError(
                f"{shown}: which column is the payload? Name it with --payload-field; "
                f"the file has {', '.join(schema.names)}"
            )
        for name in (self.key_field, self.class_field):
            if name and name not in schema.names:
                raise RecordsError(f"{shown}: no column {name!r}; the file has {', '.join(schema.names)}")
        return candidates[0]


def row_groups(path: str, storage: Storage, check_schema: Any) -> Iterator[Shard]:
    """A shard a row group of a file. `check_schema(schema, shown)` may raise. Raises RecordsError."""
    files = (stamp(path, storage=storage),)  # before it is opened: what is written to it after that is then noticed
    shown = storage.show(path)
    try:
        with storage.open(path) as opened, pq.ParquetFile(opened) as file:
            check_schema(file.schema_arrow, shown)
            sizes = [file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups)]
    except DAMAGE as error:
        raise RecordsError(f"{shown}: {error}") from error
    for group, size_bytes in enumerate(sizes):
        yield Shard(path, (group,), files, size_bytes, storage)


def split_rows(shard: Shard) -> Iterator[tuple[str, Shard]]:
    """Each row of a row group, by the place it is given: a span of the group and the row's number in it."""
    group, *only = shard.span
    try:
        with open_shard(shard) as file:
            rows = file.metadata.row_group(group).num_rows
    except DAMAGE as error:
        raise changed(shard, "", str(error)) from error
    for number in only or range(rows):
        yield f"{shard.storage.show(shard.path)}:{group}:{number}", replace(shard, span=(group, number))


@contextmanager
def open_shard(shard: Shard) -> Iterator[pq.ParquetFile]:
    """A shard's file. Raises SourceChanged if it is gone, and one of DAMAGE."""
    try:
        opened = shard.storage.open(shard.path)
    except OSError as error:
        raise changed(shard, "", f"it cannot be opened: {error.strerror or error}") from error
    with opened, pq.ParquetFile(opened) as file:
        yield file


def row_fields(row: pa.RecordBatch, place: str) -> dict[str, Any] | BadRecord:
    """The values of a batch of one row."""
    try:
        (fields,) = row.to_pylist()
    except UnicodeDecodeError as error:  # Arrow does not look whether text in a file is UTF-8
        return BadRecord(place, "not_utf8", str(error))
    except Exception as error:  # a date in the year 0, a dictionary's index that it has not
        return BadRecord(place, "damaged_row", f"{type(error).__name__}: {error}")
    found: dict[str, Any] = fields
    return found


def _is_text(type_: pa.DataType) -> bool:
    return any(check(type_) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))
