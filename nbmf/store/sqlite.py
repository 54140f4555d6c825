"""A SQLite file as a store: the table `records`, indexed by key and class.

    records(id, key, class, meta, blob, preview, encrypted, source_bytes, payload_bytes)
    shards(shard, records, statistics)
    migration(fingerprint)

`id` is the store's order. `shards` says which of a migration's shards are in it, with the statistics of each, and
`migration` which one that is.
The header's application id is 0x6E626D66 (`nbmf`), its user version the format, 1.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from nbmf.encryption import StoreKey
from nbmf.store.base import Store
from nbmf.store.errors import StoreError
from nbmf.store.record import RecordKey, StoredRecord
from nbmf.store.rows import RECORD_COLUMNS, to_record
from nbmf.store.statistics import Statistics

APPLICATION_ID = 0x6E626D66
FORMAT = 1
_MAGIC = b"SQLite format 3\0"

TABLES = (
    """CREATE TABLE records(
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    class TEXT NOT NULL,
    meta TEXT NOT NULL,
    blob BLOB NOT NULL,
    preview INTEGER NOT NULL,
    encrypted INTEGER NOT NULL,
    source_bytes INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL
)""",
    "CREATE TABLE shards(shard INTEGER PRIMARY KEY, records INTEGER NOT NULL, statistics TEXT NOT NULL)",
    "CREATE TABLE migration(fingerprint TEXT NOT NULL)",
)
INDEX = "CREATE INDEX IF NOT EXISTS records_by_key ON records(key, class)"

_COLUMNS = ", ".join(RECORD_COLUMNS)


def is_sqlite(path: Path) -> bool:
    """Whether there is a SQLite file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class SqliteStore(Store):
    """A SQLite file that a migration wrote; see `Store`. Not for several threads at once."""

    def __init__(self, path: Path, key: StoreKey | None = None) -> None:
        self._path = path
        self._key = key
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        self._connection.row_factory = sqlite3.Row
        try:
            (application_id,) = self._one("PRAGMA application_id")
            (user_version,) = self._one("PRAGMA user_version")
        except StoreError:
            self._connection.close()
            raise
        if (application_id, user_version) != (APPLICATION_ID, FORMAT):
            self._connection.close()
            raise StoreError(f"{path} is a SQLite file, but no store of nbmf that this version reads")

    def __str__(self) -> str:
        return str(self._path)

    def get_all(self, key: str, record_class: str | None = None) -> list[StoredRecord]:
        where, values = ("key = ?", [key]) if record_class is None else ("key = ? AND class = ?", [key, record_class])
        found = self._find(f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY id", values)  # noqa: S608 - ours
        return [to_record(dict(row), self._key) for row in found]

    def classes_of(self, key: str) -> list[str]:
        return [row[0] for row in self._find("SELECT DISTINCT class FROM records WHERE key = ? ORDER BY class", [key])]

    def iterate(self) -> Iterator[StoredRecord]:
        for row in self._rows(f"SELECT {_COLUMNS} FROM records ORDER BY id"):  # noqa: S608 - ours
            yield to_record(dict(row), self._key)

    def keys(self) -> Iterator[RecordKey]:
        for key, record_class in self._rows("SELECT key, class FROM records ORDER BY id"):
            yield RecordKey(key, record_class)

    def statistics(self) -> Statistics:
        found = Statistics()
        for (held,) in self._rows("SELECT statistics FROM shards ORDER BY shard"):
            found.merge(Statistics.from_dict(json.loads(held)))
        return found

    def __len__(self) -> int:
        return int(self._one("SELECT coalesce(sum(records), 0) FROM shards")[0])

    def migration(self) -> str:
        """The fingerprint of the migration that wrote it."""
        return str(self._one("SELECT fingerprint FROM migration")[0])

    def close(self) -> None:
        self._connection.close()

    def _one(self, query: str) -> sqlite3.Row:
        for row in self._rows(query):
            return row
        raise StoreError(f"{self._path} is damaged: a table of it is empty")

    def _find(self, query: str, values: list[str]) -> list[sqlite3.Row]:
        try:
            return list(self._rows(query, values))
        except UnicodeEncodeError:
            return []  # no store holds such a key

    def _rows(self, query: str, values: Sequence[str] = ()) -> Iterator[sqlite3.Row]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path}: {error}") from error
