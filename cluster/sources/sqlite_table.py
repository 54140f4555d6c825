"""A table or view of a SQLite file: its columns, and its rows in an order that is the same every time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cluster.sources.choice import Column
from cluster.sources.sqlite_file import Text

Position: TypeAlias = list[Any]
"""Where a row is: its rowid, the values of its primary key, or its number from 1, as JSON values."""

Bounds: TypeAlias = tuple[Position | None, Position | None]
"""Rows after one position and up to another, None without a bound."""

_OCTETS = "octet_length({})" if sqlite3.sqlite_version_info >= (3, 43) else "length(CAST({} AS BLOB))"
_NO_CONTENT = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL", "DATE", "TIME")
"""In declared types of numbers, times and flags."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns that are read: fields, of which some may be None, and the payload's."""

    fields: tuple[str | None, ...] = ()
    payload: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """What a row has in the wanted columns. `size` is in bytes, of the payload's values."""

    position: Position
    size: int
    fields: tuple[Any, ...]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """`order` are the expressions that rows are ordered by. Without any, rows are numbered in the order of all columns.

    `types` are those declared, by column; `generated` columns are computed from others.
    """

    name: str
    types: dict[str, str]
    primary_key: tuple[str, ...] = ()
    generated: frozenset[str] = field(default=frozenset())
    order: tuple[str, ...] = ()

    @property
    def has_rowid(self) -> bool:
        return bool(self.order) and self.order != tuple(map(column_of, self.primary_key))

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Columns that `key_of` a position tells: the primary key, but for one beside a rowid of its own."""
        is_rowid = [self.types[name].upper() for name in self.primary_key] == ["INTEGER"]
        return self.primary_key if is_rowid or not self.has_rowid else ()

    def columns(self) -> list[Column]:
        """For choosing the payload: a key, a generated column, a number or a time is none."""
        none = {*self.primary_key, *self.generated}
        return [
            Column(name, type_, name not in none and _may_hold_content(type_)) for name, type_ in self.types.items()
        ]

    def sizes(
        self, connection: sqlite3.Connection, payload: tuple[str, ...], after: Position | None
    ) -> Iterator[tuple[Position, int]]:
        """Position of each row after one, and the bytes of its payload, but for what would have to be computed."""
        stored = tuple(name for name in payload if name not in self.generated)
        for row in self.rows(connection, Wanted((), stored), (after, None), -1):
            yield row.position, row.size

    def rows(
        self,
        connection: sqlite3.Connection,
        wanted: Wanted,
        bounds: Bounds,
        max_bytes: int,
        *,
        backwards: bool = False,
    ) -> Iterator[Row]:
        """Values of the payload that are larger than `max_bytes` are None. Numbered rows are not read backwards."""
        where, values = self._between(bounds) if self.order else ("", [])
        by = ", ".join(f"{one} DESC" if backwards else one for one in self.order or self._all_columns())
        first, count = (0, -1) if self.order else _numbers(bounds)
        query = f"{self._select(wanted, max_bytes)} {where} ORDER BY {by} LIMIT ? OFFSET ?"
        after, upto = (position[0] if position and self.has_rowid else None for position in bounds)
        last, way = (None if upto is None else upto + 1, -1) if backwards else (after, 1)
        for number, row in enumerate(connection.execute(query, [*values, count, first]), first + 1):
            position = list(map(_to_json, row[: len(self.order)])) if self.order else [number]
            if self.has_rowid:
                if last is not None and (position[0] - last) * way <= 0:
                    raise _out_of_order(position)
                last = position[0]
            size, *found = row[len(self.order) :]
            fields = len(wanted.fields)
            payload = dict(zip(wanted.payload, found[fields:], strict=True))
            yield Row(position, size, tuple(found[:fields]), payload)

    def check(self, connection: sqlite3.Connection, wanted: Wanted) -> None:
        """Raises sqlite3.Error if SQLite cannot make such rows: it lacks a function, a collation or a module."""
        connection.execute(f"{self._select(wanted, 0)} ORDER BY {', '.join(self.order or self._all_columns())} LIMIT 0")

    def _select(self, wanted: Wanted, max_bytes: int) -> str:
        sizes = [f"coalesce({_OCTETS.format(column_of(name))}, 0)" for name in wanted.payload]
        selected = [
            *self.order,
            " + ".join(sizes) or "0",
            *(column_of(name) if name else "NULL" for name in wanted.fields),
            *(
                f"CASE WHEN {size} > {max_bytes:d} THEN NULL ELSE {column_of(name)} END"
                for size, name in zip(sizes, wanted.payload, strict=True)
            ),
        ]
        return f"SELECT {', '.join(selected)} FROM {quoted(self.name)} t"  # noqa: S608 - quoted

    def _between(self, bounds: Bounds) -> tuple[str, list[Any]]:
        conditions, values = [], []
        for comparison, position in zip((">", "<="), bounds, strict=True):
            if position is not None:
                parameters = [_parameter(value) for value in position]
                marks = ", ".join(mark for mark, _ in parameters)
                conditions.append(f"({', '.join(self.order)}) {comparison} ({marks})")
                values += [value for _, value in parameters]
        return f"WHERE {' AND '.join(conditions)}" if conditions else "", values

    def _all_columns(self) -> list[str]:
        """Rows that are equal in these are the same; `typeof` tells 1 from 1.0."""
        by_value = [f"{column_of(name)} COLLATE BINARY" for name in self.types]
        return [*by_value, *(f"typeof({column_of(name)})" for name in self.types)]


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def column_of(name: str) -> str:
    """With the table's alias: a quoted word that is no column would else be text."""
    return f"t.{quoted(name)}"


def key_of(position: Position) -> str:
    """A position in the key of a row that has no other."""
    return str(position[0]) if len(position) == 1 and type(position[0]) is int else json.dumps(position)


def _numbers(bounds: Bounds) -> tuple[int, int]:
    """Of numbered rows: how many are before them, and how many they are, -1 without a bound."""
    after, upto = bounds
    first = int(after[0]) if after else 0
    return first, int(upto[0]) - first if upto else -1


def _out_of_order(position: Position) -> sqlite3.Error:
    """A damaged page has rows elsewhere than their rowids say: shards would miss them, or have them twice."""
    error = sqlite3.DatabaseError(f"the row {key_of(position)} is out of order")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _may_hold_content(declared: str) -> bool:
    return not any(part in declared.upper() for part in _NO_CONTENT)


def _to_json(value: Any) -> Any:
    if type(value) is Text:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"text": value.hex()}
    return {"blob": value.hex()} if type(value) is bytes else value


def _parameter(value: Any) -> tuple[str, Any]:
    """The mark and value of what `_to_json` made."""
    if type(value) is dict and "text" in value:
        return "CAST(? AS TEXT)", bytes.fromhex(value["text"])
    return "?", bytes.fromhex(value["blob"]) if type(value) is dict else value
