"""Parquet: a record a row, of which one column is the payload, or all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.arrow_values import Convert, converter, could_be_payload, value_bytes
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item
from cluster.sources.choice import Column, PayloadField, Whole, columns_left, payload_columns
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.parsing import record_from_payload, too_large
from cluster.sources.shards import Shard, below, changed, open_planned
from cluster.sources.stamps import stamp
from cluster.sources.storage import LOCAL, Storage
from cluster.sources.walk import NotRead, not_read
from nbmf import json_text

BATCH_ROWS = 2000
DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises for a file that is not as it should be."""

_STEP_ROWS, _STEP_BYTES = 256, 4 * 1024 * 1024
"""What is converted at once."""

_LOOKED_INTO = 100
"""Files that are looked into for columns that are left out."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The columns of a file that are wanted, and what makes values of theirs: fields, and those of the payload."""

    fields: dict[str, Convert]
    payload: dict[str, Convert] = field(default_factory=dict)


Choose: TypeAlias = Callable[[pa.Schema, str], Chosen]
"""Of a file's schema and name. Raises RecordsError."""


class Row(NamedTuple):
    """A row of a file: its place, that within the file, values by column, and the bytes of the payload's."""

    place: str
    at: str
    fields: dict[str, Any]
    payload: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files. `choice` says which column is the payload, `arrow_values` what becomes of its values.

    With `parse_json`, a payload that is the text of a JSON object or array is read as that value. A record's
    source_bytes are those of its text, bytes and numbers as Arrow holds them, uncompressed and without offsets.
    """

    paths: tuple[str | Path, ...]
    payload_field: PayloadField = None
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
        chosen: dict[tuple[str, ...], str] = {}

        def choose(schema: pa.Schema, shown: str) -> Chosen:
            if self.payload_field is None:
                chosen.setdefault(self._payload(schema, shown), shown)
            if len(chosen) > 1:
                (one,), (other,) = chosen
                raise RecordsError(
                    f"which column is the payload? It would be {one!r} of {chosen[one,]} but {other!r} of {shown}; "
                    "name it with --payload-field, or take whole rows, as objects, with --payload row"
                )
            return self._choose(schema, shown)

        for path in self.paths:
            for shard in row_groups(str(path), self.storage, choose):
                yield below(shard, self.root)

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders at the source that are not read, or have nothing in them, and columns of no record."""
        return chain(not_read(self.storage, self.root, map(str, self.paths)), self._columns_left())

    def _columns_left(self) -> Iterator[NotRead]:
        """Of the first file that has them."""
        found: set[str] = set()
        for path in map(str, self.paths[:_LOOKED_INTO]):
            shown = self.storage.show(path)
            with contextlib.suppress(RecordsError, *DAMAGE):
                with self.storage.open(path) as opened, pq.ParquetFile(opened) as file:
                    columns, payload = _columns(file.schema_arrow), self._payload(file.schema_arrow, shown)
                for one in columns_left(shown, columns, payload, (self.key_field, self.class_field)):
                    if one.detail not in found:
                        found.add(one.detail)
                        yield one

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_rows(shard)

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        name = shard.file_name
        for row in rows_of(shard, BATCH_ROWS, self._choose):
            yield row if isinstance(row, BadRecord) else self._record(row, name)

    def _record(self, row: Row, file_name: str) -> Item:
        found_key, found_class = (row.fields.get(name or "") for name in (self.key_field, self.class_field))
        key = f"{file_name}:{row.at}" if found_key is None else _name(found_key)
        record_class = "" if found_class is None else _name(found_class)
        if row.size > self.max_record_bytes:
            return too_large(row.size, self.max_record_bytes).bad(row.place, key, row.size)
        payload: Any = row.payload
        if self.payload_field is not Whole.ROW:
            (payload,) = payload.values()
        if self.parse_json and type(payload) is str and payload[:1] in ("{", "["):
            with contextlib.suppress(ValueError):  # text that only begins like JSON
                payload = json_text.loads(payload, unique_keys=True)
        return record_from_payload(key, record_class, {}, payload, row.place, row.size)

    def _choose(self, schema: pa.Schema, shown: str) -> Chosen:
        fields = [name for name in (self.key_field, self.class_field) if name]
        inside = self.payload_field is Whole.ROW
        payload = self._payload(schema, shown)
        try:
            return Chosen(
                {name: converter(schema.field(name).type, name) for name in fields},
                {name: converter(schema.field(name).type, name, inside=inside) for name in payload},
            )
        except RecordsError as error:
            raise RecordsError(f"{shown}: {error}") from error

    def _payload(self, schema: pa.Schema, shown: str) -> tuple[str, ...]:
        try:
            return payload_columns(
                _columns(schema), self.payload_field, (self.key_field, self.class_field), "the file has"
            )
        except RecordsError as error:
            raise RecordsError(f"{shown}: {error}") from error


def _columns(schema: pa.Schema) -> list[Column]:
    return [Column(one.name, str(one.type), could_be_payload(one.type)) for one in schema]


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


def rows_of(shard: Shard, batch_rows: int, choose: Choose) -> Iterator[Row | BadRecord]:
    """Each row of a shard.

    Rows from the first damaged page on are one bad record: where one behind it begins cannot be told.
    """
    shown = shard.storage.show(shard.file)
    group, *only = shard.span
    wanted, number = range(0), 0
    try:
        with _open_shard(shard) as file:
            chosen = choose(file.schema_arrow, shown)
            columns = [name for name in file.schema_arrow.names if name in chosen.fields or name in chosen.payload]
            wanted = range(only[0], only[0] + 1) if only else range(file.metadata.row_group(group).num_rows)
            batches = file.iter_batches(batch_size=batch_rows, row_groups=[group], columns=columns)
            coarse_batches = _in_us(shard, [name for name in columns if _is_int96(file, name)], batch_rows)
            for batch, coarse in zip(batches, coarse_batches, strict=False):
                begin, end = max(number, wanted.start), min(number + batch.num_rows, wanted.stop)
                step = max(1, min(_STEP_ROWS, _STEP_BYTES * batch.num_rows // max(batch.nbytes, 1)))
                for at in range(begin, end, step):
                    part = slice(at - number, min(at + step, end) - number)
                    yield from _rows(
                        _slice(batch, part), _slice(coarse, part), chosen, f"{shown}:{group}:", f"{group}:", at
                    )
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
def _open_shard(shard: Shard, **options: str) -> Iterator[pq.ParquetFile]:
    """A shard's file. Raises SourceChanged if it is gone, and one of DAMAGE."""
    with open_planned(shard) as opened, pq.ParquetFile(opened, **options) as file:
        yield file


def _is_int96(file: pq.ParquetFile, name: str) -> bool:
    """Whether a column has times as Impala and old versions of Spark write them, of which Arrow makes ns."""
    leaves = (file.schema.column(number) for number in range(len(file.schema)))
    return any(leaf.physical_type == "INT96" and f"{leaf.path}.".startswith(f"{name}.") for leaf in leaves)


def _in_us(shard: Shard, columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch | None]:
    """The batches of such columns once more, in us: Arrow does not say where a time is too far away for ns."""
    if not columns:
        yield from repeat(None)
    with _open_shard(shard, coerce_int96_timestamp_unit="us") as file:
        yield from file.iter_batches(batch_size=batch_rows, row_groups=[shard.span[0]], columns=columns)


def _rows(
    rows: pa.RecordBatch, times: pa.RecordBatch | None, chosen: Chosen, group_place: str, group_at: str, first: int
) -> Iterator[Row | BadRecord]:
    """Converted together; one by one where that fails, so that a fault is one row's only."""
    try:
        for name, column in zip(times.schema.names, times.columns, strict=True) if times else ():
            column.take(np.arange(len(column))).cast(rows.schema.field(name).type)  # raises, where a cast would wrap
        fields = _by_row(rows, chosen.fields)
        payloads = _by_row(rows, chosen.payload)
        sizes = sum((value_bytes(rows.column(name)) for name in chosen.payload), np.zeros(len(fields), np.int64))
    except Exception as error:
        if rows.num_rows > 1:
            for row in range(rows.num_rows):
                one = slice(row, row + 1)
                yield from _rows(_slice(rows, one), _slice(times, one), chosen, group_place, group_at, first + row)
        elif isinstance(error, UnicodeDecodeError):  # Arrow does not look whether text in a file is UTF-8
            yield BadRecord(f"{group_place}{first}", "not_utf8", str(error))
        else:  # a dictionary's index that it has not, a time too far away
            yield BadRecord(f"{group_place}{first}", "damaged_row", f"{type(error).__name__}: {error}")
        return
    for number, found in enumerate(zip(fields, payloads, sizes.tolist(), strict=True), first):
        yield Row(f"{group_place}{number}", f"{group_at}{number}", *found)


def _slice(rows: pa.RecordBatch | None, part: slice) -> pa.RecordBatch | None:
    return None if rows is None else rows.slice(part.start, part.stop - part.start)


def _by_row(rows: pa.RecordBatch, columns: dict[str, Convert]) -> list[dict[str, Any]]:
    values = [convert(rows.column(name)) for name, convert in columns.items()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)] if values else [{}] * len(rows)


def _name(value: Any) -> str:
    """A key or class as text; bytes in hex."""
    return value.hex() if type(value) is bytes else str(value)
