"""Rows that have nothing to be found by, as those of a view: numbered in the order of all their columns.

Every shard sorts them all again, so its rows are compared by digest with those that were planned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeAlias

from cluster.errors import RecordsError
from cluster.sources.sqlite_table import Bounds, Position, Row, Table, Wanted

_SHARD_ROWS = 20_000
_SHARD_BYTES = 16 * 1024 * 1024

NumberedCut: TypeAlias = tuple[Position, Position, str, int]
"""Rows after one number and up to another, the digest of what they hold, and the bytes of their payloads."""


@dataclass(slots=True)
class _Digest:
    """Of rows: what was wanted of them, type by type."""

    _hash: Any = field(default_factory=lambda: blake2b(digest_size=16))

    def add(self, row: Row) -> None:
        for value in (row.size, *row.fields, *row.payload.values()):
            content = value if isinstance(value, bytes) else repr(value).encode()
            self._hash.update(f"{type(value).__name__} {len(content)} ".encode())
            self._hash.update(content)

    def text(self) -> str:
        return str(self._hash.hexdigest())


def numbered_cuts(
    table: Table, connection: sqlite3.Connection, wanted: Wanted, max_bytes: int
) -> Iterator[NumberedCut]:
    """All of the rows. Raises sqlite3.Error."""
    yield from _cut(table.rows(connection, wanted, (None, None), max_bytes), [0], _SHARD_ROWS)


def numbered_split(
    table: Table, connection: sqlite3.Connection, wanted: Wanted, bounds: Bounds, max_bytes: int
) -> Iterator[NumberedCut]:
    """Each row alone. Raises sqlite3.Error."""
    yield from _cut(table.rows(connection, wanted, bounds, max_bytes), bounds[0] or [0], 1)


def checked_rows(
    table: Table, connection: sqlite3.Connection, wanted: Wanted, bounds: Bounds, planned: str, max_bytes: int
) -> Iterator[Row]:
    """Rows that were planned. Raises RecordsError behind them if they are others now, or cannot be read."""
    digest = _Digest()
    try:
        for row in table.rows(connection, wanted, bounds, max_bytes):
            digest.add(row)
            yield row
    except sqlite3.Error as error:
        raise RecordsError(f"{table.name!r} cannot be read: {error}") from error
    if digest.text() != planned:
        raise RecordsError(f"{table.name!r} has other rows on every reading, or at another time")


def _cut(rows: Iterator[Row], after: Position, shard_rows: int) -> Iterator[NumberedCut]:
    digest, size, count = _Digest(), 0, 0
    for row in rows:
        digest.add(row)
        size, count = size + row.size, count + 1
        if count >= shard_rows or size >= _SHARD_BYTES:
            yield after, row.position, digest.text(), size
            after, digest, size, count = row.position, _Digest(), 0, 0
    if count:
        yield after, [after[0] + count], digest.text(), size
