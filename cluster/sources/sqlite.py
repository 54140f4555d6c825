"""SQLite: a record a row of a table or view, of which one column is the payload, or all.

Nothing is written, not even beside the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cluster.errors import RecordsError
from cluster.sources.arrow_values import base64_form
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item
from cluster.sources.blobs import decode_blobs
from cluster.sources.choice import PayloadField, Whole, columns_left, payload_columns
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.parsing import Refused, parse_json, record_from_payload, too_large
from cluster.sources.shards import Shard
from cluster.sources.sqlite_catalog import check_readable, find_table, tables_with_rows
from cluster.sources.sqlite_file import Text, connect
from cluster.sources.sqlite_shards import damage, plan_table, read_table, split_table
from cluster.sources.sqlite_table import Row, Table, Wanted
from cluster.sources.walk import NotRead
from nbmf import compat, frame, inspect, stub
from nbmf.batches import BATCH_RECORDS
from nbmf.errors import NbmfError
from nbmf.payload import Payload

OTHER_TABLE = "other_table"
_TRIED_ROWS = 200


@dataclass(frozen=True, slots=True)
class _Row:
    """A sound row. `blob` is an nbmf blob whose payload is not decoded yet; else `payload` is it."""

    key: str
    record_class: str
    place: str
    source_bytes: int
    payload: Payload = None
    blob: bytes | None = None


@dataclass(frozen=True, slots=True)
class SqliteTable:
    """A table or view of a SQLite file: without a `table`, the only one, or the only one that has rows. `choice` says
    which column is the payload. Without a `key_field` keys are `<file>:<table>:<rowid>`.

    TEXT is text, BLOB bytes, inside a whole row `{"base64": text}`; a column whose BLOBs are those of nbmf is decoded,
    with the versions of `registry`. A record's source_bytes are the octets of its values, those of numbers as text.
    """

    path: Path
    table: str | None = None
    payload_field: PayloadField = None
    key_field: str | None = None
    class_field: str | None = None
    parse_json: bool = False
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    registry: str | None = field(default=None, repr=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        return plan_table(self.path, self._choose, self.max_record_bytes, self._holds_blobs)

    def not_read(self) -> Iterator[NotRead]:
        """Other tables that have rows, and columns that are not carried over."""
        with contextlib.suppress(OSError, sqlite3.Error), closing(connect(self.path)) as connection:
            table, wanted = self._choose(connection)
            for name in tables_with_rows(connection):
                if name != table.name:
                    yield NotRead(
                        f"{self.path}:{name}", OTHER_TABLE, "a table that --table would name, in a run of its own"
                    )
            kept = wanted.fields if self.key_field else (*wanted.fields, *table.in_keys)
            yield from columns_left(f"{self.path}:{table.name}", table.columns(), wanted.payload, kept)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_table(self.path, shard, self._choose, self.max_record_bytes)

    def read(self, shard: Shard) -> Iterator[Item]:
        holds_blobs = shard.span[1]
        found = read_table(self.path, shard, self._choose, self.max_record_bytes)
        rows = (row if isinstance(row, BadRecord) else self._row(*row, holds_blobs) for row in found)
        return decoded_dict_blobs(self._records(rows), self.registry, self.max_record_bytes)

    def _records(self, rows: Iterator[_Row | BadRecord]) -> Iterator[Item]:
        while batch := list(islice(rows, BATCH_RECORDS)):
            yield from self._decoded(batch)

    def _row(self, at: str, row: Row, holds_blobs: bool) -> _Row | BadRecord:
        place, row_key, size = f"{self.path}:{at}", None, row.size
        key, record_class = row.fields
        try:
            row_key = f"{self.path.name}:{at}" if key is None else _name(key)
            name_class = "" if record_class is None else _name(record_class)
            if size > self.max_record_bytes:
                raise too_large(size, self.max_record_bytes)
            if self.payload_field is Whole.ROW:
                whole = {name: _inside(name, value) for name, value in row.payload.items()}
                return _Row(row_key, name_class, place, size, whole)
            (value,) = row.payload.values()
            if holds_blobs and type(value) is bytes and _is_blob(value):
                return _Row(row_key, name_class, place, size, blob=value)
            return _Row(row_key, name_class, place, size, self._payload(value))
        except Refused as refused:
            return refused.bad(place, row_key, size)

    def _payload(self, value: Any) -> Payload:
        if type(value) is Text:
            text = _utf8(value)
            wanted = _from_json(value) if self.parse_json and text[:1] in ("{", "[") else _dict_blob(value)
            return text if wanted is None else wanted
        if type(value) is bytes:
            wanted = _dict_blob(value)
            return value if wanted is None else wanted
        return value

    def _decoded(self, rows: Sequence[_Row | BadRecord]) -> Iterator[Item]:
        blobs = (row.blob for row in rows if isinstance(row, _Row) and row.blob is not None)
        payloads = decode_blobs(blobs, self.registry, self.max_record_bytes)
        for row in rows:
            if isinstance(row, BadRecord):
                yield row
                continue
            payload = row.payload if row.blob is None else next(payloads)
            if isinstance(payload, NbmfError):
                yield BadRecord(row.place, payload.code, str(payload), row.key, row.source_bytes)
            else:
                yield record_from_payload(row.key, row.record_class, {}, payload, row.place, row.source_bytes)

    def _choose(self, connection: sqlite3.Connection) -> tuple[Table, Wanted]:
        table = find_table(connection, self.table, str(self.path))
        apart = (self.key_field, self.class_field)
        try:
            payload = payload_columns(table.columns(), self.payload_field, apart, f"{table.name!r} has the columns")
        except RecordsError as error:
            raise RecordsError(f"{self.path}: {error}") from error
        wanted = Wanted(apart, payload)
        check_readable(connection, table, wanted, str(self.path))
        return table, wanted

    def _holds_blobs(self, connection: sqlite3.Connection, table: Table, wanted: Wanted) -> bool:
        """Whether nine of ten BLOBs are such as nbmf writes, of the first ones: by chance, one in ten is."""
        if self.payload_field is Whole.ROW:
            return False
        found = []
        try:
            rows = table.rows(connection, Wanted((), wanted.payload), (None, None), self.max_record_bytes)
            for row in islice(rows, _TRIED_ROWS):
                (value,) = row.payload.values()
                if type(value) is bytes:
                    found.append(_is_blob(value) and (not _may_be_of_others(value) or self._decodes(value)))
        except sqlite3.Error as error:
            damage(self.path, error)
        return bool(found) and sum(found) >= 0.9 * len(found)

    def _decodes(self, blob: bytes) -> bool:
        (payload,) = decode_blobs([blob], self.registry, self.max_record_bytes)
        return not isinstance(payload, NbmfError)


def _inside(name: str, value: Any) -> Any:
    """A value inside a row. Raises Refused, naming the column."""
    if type(value) is Text:
        try:
            return _utf8(value)
        except Refused as refused:
            raise Refused(refused.reason, f"column {name!r}: {refused.detail}") from None
    return base64_form(value) if type(value) is bytes else value


def _name(value: Any) -> str:
    """A key or class as text; a BLOB in hex. Raises Refused."""
    if type(value) is Text:
        return _utf8(value)
    return value.hex() if type(value) is bytes else str(value)


def _utf8(value: Text) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", str(error)) from None


def _from_json(value: bytes) -> Any:
    try:
        return parse_json(value)
    except Refused:  # text that only begins like JSON
        return None


def _dict_blob(value: bytes) -> dict[str, Any] | None:
    """The dict blob, the stub's or ours, that a value is the JSON text of."""
    if value[:1] != b"{" or b'"code"' not in value:
        return None
    found = _from_json(value)
    return found if stub.is_stub_blob(found) or compat.is_dict_blob(found) else None


def _is_blob(value: bytes) -> bool:
    try:
        inspect(value)
    except NbmfError:
        return False
    return True


def _may_be_of_others(blob: bytes) -> bool:
    """Whether it begins as pickles, MessagePack or CBOR do too, or is longer than a blob of that payload."""
    parsed = frame.parse(blob)
    if len(blob) > parsed.payload_bytes + 4:
        return True
    if 2 <= blob[1] <= 5 and blob[:1] == b"\x80" and blob[-1:] == b".":
        return True
    string_follows = 0xA0 <= blob[1] <= 0xBF or 0x60 <= blob[1] <= 0x77
    if not (0x80 <= blob[0] <= 0xAF and string_follows):
        return False
    try:
        blob[2 : 2 + (blob[1] & 31)].decode()
    except UnicodeDecodeError:
        return False
    return True
