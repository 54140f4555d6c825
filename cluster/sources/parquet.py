"""Parquet: a record a row, one column the payload."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.parsing import record_from_payload
from cluster.sources.stamps import stamp
from nbmf import json_text

_BATCH_ROWS = 2000


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files. With `parse_json`, text that is a JSON object or array is read as that value.

    Without a `payload_field`, the column `payload` is taken, or the only column of text or bytes.
    """

    paths: tuple[Path, ...]
    payload_field: str | None = None
    key_field: str | None = None
    class_field: str | None = None
    parse_json: bool = False
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def plan(self) -> list[Shard]:
        shards = []
        for path in self.paths:
            files = (stamp(path),)  # before it is opened: what is written to it after that is then noticed
            try:
                with pq.ParquetFile(path) as file:
                    self._payload_column(file.schema_arrow, path)
                    for group in range(file.num_row_groups):
                        size_bytes = file.metadata.row_group(group).total_byte_size
                        shards.append(Shard(str(path), (group,), files, size_bytes))
            except (OSError, pa.ArrowInvalid) as error:
                raise RecordsError(f"{path}: {error}") from error
        return shards

    def read(self, shard: Shard) -> Iterator[Item]:
        path = Path(shard.path)
        (group,) = shard.span
        number = 0
        try:
            with pq.ParquetFile(path) as file:
                payload_column = self._payload_column(file.schema_arrow, path)
                wanted = (payload_column, self.key_field, self.class_field)
                columns = [name for name in file.schema_arrow.names if name in wanted]
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=columns):
                    for at in range(batch.num_rows):
                        yield self._row(batch.slice(at, 1), payload_column, f"{path}:{group}:{number}", path)
                        number += 1
        except (OSError, pa.ArrowInvalid) as error:
            yield BadRecord(f"{path}:{group}:{number}", "damaged_file", str(error))

    def _row(self, row: pa.RecordBatch, payload_column: str, place: str, path: Path) -> Item:
        try:
            (fields,) = row.to_pylist()
        except UnicodeDecodeError as error:  # Arrow does not look whether text in a file is UTF-8
            return BadRecord(place, "not_utf8", str(error))
        return self._record(fields, payload_column, place, path)

    def _record(self, row: dict[str, Any], payload_column: str, place: str, path: Path) -> Item:
        value = row[payload_column]
        row_key = f"{path.name}{place.removeprefix(str(path))}"
        found_key = row[self.key_field] if self.key_field else None
        found_class = row[self.class_field] if self.class_field else None
        key = row_key if found_key is None else str(found_key)
        record_class = "" if found_class is None else str(found_class)
        size = len(value.encode()) if type(value) is str else len(value) if type(value) is bytes else 0
        if size > self.max_record_bytes:
            detail = f"{size} bytes; max_record_bytes is {self.max_record_bytes}"
            return BadRecord(place, "too_large", detail, key, size)
        if self.parse_json and type(value) is str and value[:1] in ("{", "["):
            with contextlib.suppress(ValueError):  # text that only begins like JSON
                value = json_text.loads(value)
        return record_from_payload(key, record_class, {}, value, place, size)

    def _payload_column(self, schema: pa.Schema, path: Path) -> str:
        texts = [f.name for f in schema if _is_text(f.type)]
        if self.payload_field:
            candidates = [self.payload_field] if self.payload_field in schema.names else []
        else:
            candidates = ["payload"] if "payload" in schema.names else texts
        if len(candidates) != 1:
            raise RecordsError(
                f"{path}: which column is the payload? Name it with --payload-field; "
                f"the file has {', '.join(schema.names)}"
            )
        for name in (self.key_field, self.class_field):
            if name and name not in schema.names:
                raise RecordsError(f"{path}: no column {name!r}; the file has {', '.join(schema.names)}")
        return candidates[0]


def _is_text(type_: pa.DataType) -> bool:
    return any(check(type_) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))
