"""Parquet: a record a row, one column the payload."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard, below
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.parsing import record_from_payload, too_large
from cluster.sources.stamps import changed, open_planned, stamp
from cluster.sources.storage import LOCAL, Storage
from cluster.sources.walk import NotRead, not_read
from nbmf import json_text

BATCH_ROWS = 2000
DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for a file that is not as it should be."""

Choose: TypeAlias = Callable[[pa.Schema, str], tuple[str | None, ...]]
"""The columns that are wanted of a file, which may lack some, None for one that is not. Raises RecordsError."""


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
    root: str | None = field(default=None, repr=False, compare=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for path in self.paths:
            for shard in row_groups(str(path), self.storage, self._choose):
                yield below(shard, self.root)

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders at the source that are not read, or have nothing in them."""
        return not_read(self.storage, self.root, map(str, self.paths))

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_rows(shard)

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        name = shard.file_name
        for row in rows_of(shard, BATCH_ROWS, self._choose):
            yield row if isinstance(row, BadRecord) else self._record(*row, name)

    def _record(self, place: str, at: str, values: tuple[Any, ...], file_name: str) -> Item:
        value, found_key, found_class = values
        key = f"{file_name}:{at}" if found_key is None else _name(found_key)
        record_class = "" if found_class is None else _name(found_class)
        size = len(value.encode()) if type(value) is str else len(value) if type(value) is bytes else 0
        if size > self.max_record_bytes:
            return too_large(size, self.max_record_bytes).bad(place, key, size)
        if self.parse_json and type(value) is str and value[:1] in ("{", "["):
            with contextlib.suppress(ValueError):  # text that only begins like JSON
                value = json_text.loads(value)
        return record_from_payload(key, record_class, {}, value, place, size)

    def _choose(self, schema: pa.Schema, shown: str) -> tuple[str | None, ...]:
        texts = [f.name for f in schema if _is_text(f.type)]
        if self.payload_field:
            candidates = [self.payload_field] if self.payload_field in schema.names else []
        else:
            candidates = ["payload"] if "payload" in schema.names else list(dict.fromkeys(texts))
        if len(candidates) != 1:
            raise RecordsError(
                f"{shown}: which column is the payload? Name it with --payload-field; "
                f"the file has {', '.join(schema.names)}"
            )
        for name in (self.key_field, self.class_field):
            if name and name not in schema.names:
                raise RecordsError(f"{shown}: no column {name!r}; the file has {', '.join(schema.names)}")
        wanted = (candidates[0], self.key_field, self.class_field)
        for name in wanted:
            if (times := schema.names.count(name)) > 1:
                raise RecordsError(f"{shown}: the column {name!r} is there {times} times")
        return wanted


def row_groups(path: str, storage: Storage, choose: Choose) -> Iterator[Shard]:
    """A shard a row group of a file. Raises RecordsError."""
    files = (stamp(path, storage=storage),)  # before it is opened: what is written to it after that is then noticed
    shown = storage.show(path)
    try:
        with storage.open(path) as opened, pq.ParquetFile(opened) as file:
            choose(file.schema_arrow, shown)
            sizes = [file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups)]
    except DAMAGE as error:
        raise RecordsError(f"{shown}: {error}") from error
    for group, size_bytes in enumerate(sizes):
        yield Shard(path, (group,), files, size_bytes, storage)


def split_rows(shard: Shard) -> Iterator[tuple[str, Shard]]:
    """Each row of a row group, by the place it is given: a span of the group and the row's number in it."""
    group, *only = shard.span
    try:
        with _open_shard(shard) as file:
            rows = file.metadata.row_group(group).num_rows
    except DAMAGE as error:
        raise changed(shard, shard.files[0].name, str(error)) from error
    for number in only or range(rows):
        yield f"{shard.storage.show(shard.file)}:{group}:{number}", replace(shard, span=(group, number))


def rows_of(shard: Shard, batch_rows: int, choose: Choose) -> Iterator[tuple[str, str, tuple[Any, ...]] | BadRecord]:
    """Each row of a shard: its place, that within the file, and its values of the chosen columns.

    Rows from the first damaged page on are one bad record: where one behind it begins cannot be told.
    """
    shown = shard.storage.show(shard.file)
    group, *only = shard.span
    wanted, number = range(0), 0
    try:
        with _open_shard(shard) as file:
            chosen = choose(file.schema_arrow, shown)
            columns = [name for name in file.schema_arrow.names if name in chosen]
            wanted = range(only[0], only[0] + 1) if only else range(file.metadata.row_group(group).num_rows)
            for batch in file.iter_batches(batch_size=batch_rows, row_groups=[group], columns=columns):
                for row in range(max(number, wanted.start), min(number + batch.num_rows, wanted.stop)):
                    yield _values(batch.slice(row - number, 1), chosen, shown, f"{group}:{row}")
                number += batch.num_rows
                if number >= wanted.stop:
                    break
            if number >= wanted.stop:
                return
            problem = "it ends before them"
    except DAMAGE as error:
        problem = str(error)
    first = max(number, wanted.start)
    count = f"{wanted.stop - first} rows from here on" if wanted else "its rows"
    yield BadRecord(f"{shown}:{group}:{first}", "damaged_file", f"{count} cannot be read: {problem}")


@contextmanager
def _open_shard(shard: Shard) -> Iterator[pq.ParquetFile]:
    """A shard's file. Raises SourceChanged if it is gone, and one of DAMAGE."""
    with open_planned(shard) as opened, pq.ParquetFile(opened) as file:
        yield file


def _values(
    row: pa.RecordBatch, chosen: tuple[str | None, ...], shown: str, at: str
) -> tuple[str, str, tuple[Any, ...]] | BadRecord:
    """Of a batch of one row."""
    place = f"{shown}:{at}"
    try:
        (fields,) = row.to_pylist()
    except UnicodeDecodeError as error:  # Arrow does not look whether text in a file is UTF-8
        return BadRecord(place, "not_utf8", str(error))
    except Exception as error:  # a date in the year 0, a dictionary's index that it has not
        return BadRecord(place, "damaged_row", f"{type(error).__name__}: {error}")
    return place, at, tuple(fields.get(name) for name in chosen)


def _name(value: Any) -> str:
    """A key or class as text; bytes in hex."""
    return value.hex() if type(value) is bytes else str(value)


def _is_text(type_: pa.DataType) -> bool:
    return any(check(type_) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))
