"""A SQLite file that a migration wrote, to be re-encoded with another version: its table `records`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item
from cluster.sources.parsing import Refused, too_large
from cluster.sources.shards import Shard
from cluster.sources.sqlite_catalog import find_table
from cluster.sources.sqlite_file import Text
from cluster.sources.sqlite_shards import plan_table, read_table, split_table
from cluster.sources.sqlite_table import Row, Table, Wanted
from cluster.sources.storage import LOCAL
from cluster.sources.stored_rows import COLUMNS, ENCRYPTED, StoredRow, checked_row, decoded_rows, refuse_unfinished
from nbmf.encryption import StoreKey
from nbmf.store.layout import BESIDE_SQLITE

_APPLICATION_ID = b"nbmf"
_APPLICATION_ID_AT = 68
_TABLE = "records"
_BLOB = "blob"
_FIELDS = (*(name for name in COLUMNS if name != _BLOB), ENCRYPTED)
_FLAGS = {"preview", ENCRYPTED}


def is_sqlite_store(path: Path) -> bool:
    """Whether the header of a SQLite file says that nbmf wrote it."""
    try:
        with path.open("rb") as file:
            return file.read(_APPLICATION_ID_AT + 4)[_APPLICATION_ID_AT:] == _APPLICATION_ID
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """A store in SQLite. Keys, classes, meta and previews stay what they are; blobs are decoded."""

    path: Path
    registry: str | None = field(default=None, repr=False)
    key: StoreKey | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        refuse_unfinished(LOCAL, f"{self.path}{BESIDE_SQLITE}")
        yield from plan_table(self.path, self._choose, self.max_record_bytes)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_table(self.path, shard, self._choose, self.max_record_bytes)

    def read(self, shard: Shard) -> Iterator[Item]:
        found = read_table(self.path, shard, self._choose, self.max_record_bytes)
        rows = (row if isinstance(row, BadRecord) else self._row(*row) for row in found)
        return decoded_rows(rows, self.registry, self.max_record_bytes)

    def _row(self, at: str, row: Row) -> StoredRow | BadRecord:
        place = f"{self.path}:{at}"
        try:
            if row.size > self.max_record_bytes:
                raise too_large(row.size, self.max_record_bytes)
            values = {**dict(zip(_FIELDS, row.fields, strict=True)), **row.payload}
            fields = {name: _value(name, value) for name, value in values.items()}
        except Refused as refused:
            return refused.bad(place, None, row.size)
        return checked_row(fields, place, self.key, self.max_record_bytes)

    def _choose(self, connection: sqlite3.Connection) -> tuple[Table, Wanted]:
        table = find_table(connection, _TABLE, str(self.path))
        missing = sorted({*_FIELDS, _BLOB} - set(table.types))
        if missing:
            raise RecordsError(f"{self.path} is no store of nbmf: {_TABLE!r} has no column {', '.join(missing)}")
        return table, Wanted(_FIELDS, (_BLOB,))


def _value(name: str, value: Any) -> Any:
    """As Parquet has it: text, bytes, and 0 and 1 as a flag. Raises Refused."""
    if type(value) is Text:
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise Refused("not_utf8", str(error)) from None
    return bool(value) if name in _FLAGS and value in (0, 1) else value
