"""Shards of a table of a SQLite file: planned, split and read, around what is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from cluster.errors import RecordsError
from cluster.sources.base import BadRecord, Shard
from cluster.sources.sqlite_cuts import cuts
from cluster.sources.sqlite_file import connect, is_damage, stamps
from cluster.sources.sqlite_table import Position, Table, key_of
from cluster.sources.stamps import changed
from cluster.sources.storage import SourceUnavailable, raise_if_unavailable

Columns: TypeAlias = tuple[str | None, ...]
"""Those that are wanted, the payload's last; None for one that is not."""

Choose: TypeAlias = Callable[[sqlite3.Connection], tuple[Table, Columns]]
"""Finds a source's table and columns. Raises RecordsError."""

Row: TypeAlias = tuple[str, int, tuple[Any, ...]]
"""`<table>:<rowid>`, the bytes of the payload's value, and the values."""


def plan_table(
    path: Path, choose: Choose, look: Callable[[sqlite3.Connection, Table, Columns], Any] = lambda *_: None
) -> Iterator[Shard]:
    """Spans (file name, what `look` finds, after, up to). Raises RecordsError."""
    files = stamps(path)  # before it is opened: what is written to it after that is then noticed
    try:
        with closing(connect(path)) as connection:
            table, columns = choose(connection)
            found = look(connection, table, columns)
            for after, upto, size_bytes in cuts(table, connection, columns[-1]):
                yield Shard(str(path.parent), (path.name, found, after, upto), files, size_bytes)
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror or error}") from error
    except (sqlite3.Error, ValueError) as error:
        raise RecordsError(f"{path}: {error}{_remedy(error)}") from error


def split_table(path: Path, shard: Shard, choose: Choose) -> Iterator[tuple[str, Shard]]:
    """The place of each row, and a shard of it alone; the first row behind damage is in one with it."""
    *same, after, upto = shard.span
    try:
        with closing(connect(path)) as connection:
            table, _ = choose(connection)
            for position in _positions(connection, table, (after, upto)):
                shown = key_of(position) if position else f"after {key_of(after)}" if after else ""
                place = f"{path}:{table.name}:{shown}".rstrip(":")
                yield place, replace(shard, span=(*same, after, position))
                after = position
    except (OSError, sqlite3.Error) as error:
        raise changed(shard, path.name, str(error)) from error


def _positions(
    connection: sqlite3.Connection, table: Table, bounds: tuple[Position | None, Position | None]
) -> Iterator[Position | None]:
    """Of each row that can be read; and the end of the bounds, if that is behind damage."""
    after, upto = bounds
    try:
        for after, *_ in table.rows(connection, (None,), bounds, 0):
            yield after
        return
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    rest: list[Position | None] = []
    try:
        for position, *_ in table.rows(connection, (None,), (after, upto), 0, backwards=True):
            rest.append(position)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    yield from reversed(rest or [upto])


def read_table(path: Path, shard: Shard, choose: Choose, max_record_bytes: int) -> Iterator[Row | BadRecord]:
    """A shard's rows. What damage hides is one bad record. Raises SourceChanged, SourceUnavailable."""
    after, upto = shard.span[-2:]
    try:
        with closing(connect(path)) as connection:
            table, columns = choose(connection)
            yield from _rows(path, connection, table, columns, (after, upto), max_record_bytes)
    except SourceUnavailable:
        raise
    except RecordsError as error:
        raise changed(shard, path.name, str(error)) from error
    except OSError as error:
        raise_if_unavailable(error, str(path))
        raise changed(shard, path.name, f"it cannot be opened: {error.strerror or error}") from error
    except (sqlite3.Error, ValueError) as error:  # the schema itself: no row can be read
        yield BadRecord(str(path), "damaged_file", str(damage(path, error)))


def damage(path: Path, error: Exception) -> Exception:
    """The error, if it is of the content. Raises SourceUnavailable if not."""
    if isinstance(error, sqlite3.Error) and not is_damage(error):
        raise SourceUnavailable(f"{path}: {error}{_remedy(error)}") from error
    return error


def _rows(
    path: Path,
    connection: sqlite3.Connection,
    table: Table,
    columns: Columns,
    bounds: tuple[Position | None, Position | None],
    max_record_bytes: int,
) -> Iterator[Row | BadRecord]:
    """Forwards to what is damaged, then backwards to it from the end: what lies between is one bad record."""
    after, upto = bounds
    try:
        for after, size, values in table.rows(connection, columns, bounds, max_record_bytes):
            yield f"{table.name}:{key_of(after)}", size, values
        return
    except sqlite3.Error as error:
        found = damage(path, error)
    rest: list[Row] = []
    first = upto
    try:
        for first, size, values in table.rows(connection, columns, (after, upto), max_record_bytes, backwards=True):
            rest.append((f"{table.name}:{key_of(first)}", size, values))
    except sqlite3.Error as error:
        found = damage(path, error)
    between = " ".join(f"{word} {key_of(at)}" for word, at in (("after", after), ("up to", first)) if at)
    place = f"{path}:{table.name}:{between}".rstrip(":")
    yield BadRecord(place, "damaged_file", f"rows between cannot be read: {found}")
    yield from reversed(rest)


def _remedy(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return " (a program that wrote to it was stopped; let SQLite finish that, on a copy if need be: open it once)"
    return ""
