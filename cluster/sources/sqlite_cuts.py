"""Where a table is cut into shards: by rows and by bytes, in the order of its rowid or primary key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from cluster.sources.sqlite_file import is_damage
from cluster.sources.sqlite_table import Position, Table

_SHARD_ROWS = 2000
_SHARD_BYTES = 4 * 1024 * 1024

_MAX_ROWID = 2**63 - 1

Cut: TypeAlias = tuple[Position | None, Position | None, int]
"""Rows after one position and up to another, None without a bound, and the bytes of their payloads."""


def cuts(table: Table, connection: sqlite3.Connection, payload: tuple[str, ...]) -> Iterator[Cut]:
    """All of the table. Where damage ends a scan it goes on behind it, so that what is hidden has a shard of its own.

    Raises sqlite3.Error if the file cannot be read for another reason.
    """
    after: Position | None = None
    while True:
        scan = _Scan(after)
        for last, size_bytes in scan.ends(table.sizes(connection, payload, after)):
            yield after, last, size_bytes
            after = last
        if not scan.damaged:
            if scan.rows:
                yield after, None, scan.size_bytes
            return
        if scan.rows:
            yield after, scan.last, scan.size_bytes
            after = scan.last
        behind = _behind(table, connection, after)
        yield after, behind, 0
        if behind is None:
            return
        after = behind


@dataclass(slots=True)
class _Scan:
    """The last row that was read, and what is behind the last full shard."""

    last: Position | None
    damaged: bool = False
    rows: int = 0
    size_bytes: int = 0

    def ends(self, rows: Iterable[tuple[Position, int]]) -> Iterator[tuple[Position, int]]:
        """Position of the row that fills a shard, and the shard's bytes."""
        try:
            for position, octets in rows:
                self.last = position
                self.rows += 1
                self.size_bytes += octets
                if self.rows >= _SHARD_ROWS or self.size_bytes >= _SHARD_BYTES:
                    yield position, self.size_bytes
                    self.rows = self.size_bytes = 0
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self.damaged = True


def _behind(table: Table, connection: sqlite3.Connection, after: Position | None) -> Position | None:
    """A rowid behind which rows can be read again, at most twice as far as need be. None if none is found."""
    if not table.has_rowid:
        return None
    start = int(after[0]) if after else 0
    for exponent in range(62):
        position = [min(start + 2**exponent, _MAX_ROWID)]
        try:
            if next(table.sizes(connection, (), position), None) is None:
                return None
            return position
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
    return None
