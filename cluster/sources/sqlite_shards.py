"""Shards of a table of a SQLite file: planned, split and read, around what is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from cluster.errors import RecordsError
from cluster.sources.base import BadRecord
from cluster.sources.shards import Shard, changed
from cluster.sources.sqlite_cuts import cuts
from cluster.sources.sqlite_file import connect, is_damage, is_of_the_query, stamps
from cluster.sources.sqlite_numbered import checked_rows, numbered_cuts, numbered_split
from cluster.sources.sqlite_table import Bounds, Position, Row, Table, Wanted, key_of
from cluster.sources.storage import SourceUnavailable, raise_if_unavailable

Choose: TypeAlias = Callable[[sqlite3.Connection], tuple[Table, Wanted]]
"""Finds a source's table and columns. Raises RecordsError."""


def plan_table(
    path: Path,
    choose: Choose,
    max_record_bytes: int,
    look: Callable[[sqlite3.Connection, Table, Wanted], Any] = lambda *_: None,
) -> Iterator[Shard]:
    """Spans (file name, what `look` finds, after, up to), and of numbered rows their digest. Raises RecordsError."""
    files = stamps(path)  # before it is opened: what is written to it after that is then noticed
    try:
        with closing(connect(path)) as connection:
            table, wanted = choose(connection)
            found = look(connection, table, wanted)
            if table.order:
                spans: Iterator[tuple[Any, ...]] = cuts(table, connection, wanted.payload)
            else:
                spans = numbered_cuts(table, connection, wanted, max_record_bytes)
            for *span, size_bytes in spans:
                yield Shard(str(path.parent), (path.name, found, *span), files, size_bytes)
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror or error}") from error
    except (sqlite3.Error, ValueError) as error:
        raise RecordsError(f"{path}: {error}{_remedy(error)}") from error


def split_table(path: Path, shard: Shard, choose: Choose, max_record_bytes: int) -> Iterator[tuple[str, Shard]]:
    """The place of each row, and a shard of it alone; the first row behind damage is in one with it."""
    *same, after, upto = shard.span[:4]
    try:
        with closing(connect(path)) as connection:
            table, wanted = choose(connection)
            if not table.order:
                for cut in numbered_split(table, connection, wanted, (after, upto), max_record_bytes):
                    *span, size = cut
                    yield f"{path}:{table.name}:{key_of(cut[1])}", replace(shard, span=(*same, *span), size_bytes=size)
                return
            for position in _positions(connection, table, (after, upto)):
                shown = key_of(position) if position else f"after {key_of(after)}" if after else ""
                place = f"{path}:{table.name}:{shown}".rstrip(":")
                yield place, replace(shard, span=(*same, after, position))
                after = position
    except (OSError, sqlite3.Error) as error:
        raise changed(shard, path.name, str(error)) from error


def _positions(connection: sqlite3.Connection, table: Table, bounds: Bounds) -> Iterator[Position | None]:
    """Of each row that can be read; and the end of the bounds, if that is behind damage."""
    after, upto = bounds
    try:
        for row in table.rows(connection, Wanted(), bounds, 0):
            after = row.position
            yield after
        return
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    rest: list[Position | None] = []
    try:
        for row in table.rows(connection, Wanted(), (after, upto), 0, backwards=True):
            rest.append(row.position)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    yield from reversed(rest or [upto])


def read_table(
    path: Path, shard: Shard, choose: Choose, max_record_bytes: int
) -> Iterator[tuple[str, Row] | BadRecord]:
    """A shard's rows, each with `<table>:<rowid>`. What damage hides is one bad record.

    Raises SourceChanged, SourceUnavailable.
    """
    after, upto, *digest = shard.span[2:]
    try:
        with closing(connect(path)) as connection:
            table, wanted = choose(connection)
            if digest:
                for row in checked_rows(table, connection, wanted, (after, upto), digest[0], max_record_bytes):
                    yield f"{table.name}:{key_of(row.position)}", row
            else:
                yield from _rows(path, connection, table, wanted, (after, upto), max_record_bytes)
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
    wanted: Wanted,
    bounds: Bounds,
    max_record_bytes: int,
) -> Iterator[tuple[str, Row] | BadRecord]:
    """Forwards to what is damaged, then backwards to it from the end: what lies between is one bad record."""
    after, upto = bounds
    while True:
        try:
            for row in table.rows(connection, wanted, (after, upto), max_record_bytes):
                after = row.position
                yield f"{table.name}:{key_of(after)}", row
            return
        except sqlite3.Error as error:
            found = damage(path, error)
            if not is_of_the_query(error):
                break
        # Of one row, the next or the one behind it, a generated column cannot be computed.
        following = next(table.rows(connection, Wanted(), (after, upto), 0), None)
        if following is None:
            break
        at = f"{table.name}:{key_of(following.position)}"
        try:
            for row in table.rows(connection, wanted, (after, following.position), max_record_bytes):
                yield at, row
        except sqlite3.Error as error:
            yield BadRecord(f"{path}:{at}", "damaged_row", str(damage(path, error)))
        after = following.position
    rest: list[tuple[str, Row]] = []
    first = upto
    try:
        for row in table.rows(connection, wanted, (after, upto), max_record_bytes, backwards=True):
            first = row.position
            rest.append((f"{table.name}:{key_of(first)}", row))
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
