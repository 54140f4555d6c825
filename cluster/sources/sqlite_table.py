"""A table of a SQLite file: its columns, and its rows in the order of their rowid or primary key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from cluster.errors import RecordsError
from cluster.sources.sqlite_file import Text, is_damage

Position: TypeAlias = list[Any]
"""Where a row is: its rowid, or the values of its primary key, as JSON values."""

_ROWID_NAMES = ("rowid", "_rowid_", "oid")
_OCTETS = "octet_length({})" if sqlite3.sqlite_version_info >= (3, 43) else "length(CAST({} AS BLOB))"


@dataclass(frozen=True, slots=True)
class Table:
    """`order` are the expressions that rows are ordered by; `columns` the names of all, `primary_key` of some."""

    name: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...]
    order: tuple[str, ...]

    @property
    def has_rowid(self) -> bool:
        return self.order != tuple(map(_column, self.primary_key))

    def sizes(
        self, connection: sqlite3.Connection, column: str | None, after: Position | None
    ) -> Iterator[tuple[Position, int]]:
        """Position of each row after one, and the bytes of its value, 0 without a column."""
        for position, octets, _ in self.rows(connection, (column,), (after, None), -1):
            yield position, octets

    def rows(
        self,
        connection: sqlite3.Connection,
        columns: tuple[str | None, ...],
        bounds: tuple[Position | None, Position | None],
        max_bytes: int,
        *,
        backwards: bool = False,
    ) -> Iterator[tuple[Position, int, tuple[Any, ...]]]:
        """Rows after one position and up to another: position, bytes of the last column's value, and values.

        That value is None if it is larger than `max_bytes`; a column None is None.
        """
        *others, payload = [_column(name) if name else "NULL" for name in columns]
        size = _OCTETS.format(payload)
        selected = [*self.order, size, *others, f"CASE WHEN {size} > {max_bytes:d} THEN NULL ELSE {payload} END"]
        conditions, values = [], []
        for comparison, position in zip((">", "<="), bounds, strict=True):
            if position is not None:
                parameters = [_parameter(value) for value in position]
                marks = ", ".join(mark for mark, _ in parameters)
                conditions.append(f"({', '.join(self.order)}) {comparison} ({marks})")
                values += [value for _, value in parameters]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        query = f"SELECT {', '.join(selected)} FROM {quoted(self.name)} t {where} {self._by(backwards)}"  # noqa: S608 - quoted
        for row in connection.execute(query, values):
            position = list(map(_to_json, row[: len(self.order)]))
            octets, *found = row[len(self.order) :]
            yield position, octets or 0, tuple(found)

    def _by(self, backwards: bool) -> str:
        return "ORDER BY " + ", ".join(f"{one} DESC" if backwards else one for one in self.order)


def find_table(connection: sqlite3.Connection, name: str | None, shown: str) -> Table:
    """The table of that name, or the only one. Raises RecordsError, sqlite3.Error."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
    tables = [_shown(row[0]) for row in connection.execute(query)]
    if name is None and len(tables) == 1:
        name = tables[0]
    if name not in tables:
        which = "which table? Name it with --table" if name is None else f"no table {name!r}"
        raise RecordsError(f"{shown}: {which}; the file has {', '.join(tables) or 'none'}")
    info = [(_shown(row[1]), row[5]) for row in connection.execute(f"PRAGMA table_xinfo({quoted(name)})")]
    columns = tuple(column for column, _ in info)
    primary_key = tuple(column for _, column in sorted((at, column) for column, at in info if at))
    return Table(name, columns, primary_key, _order(connection, name, columns, primary_key, shown))


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _column(name: str) -> str:
    """With the table's alias: a quoted word that is no column would else be text."""
    return f"t.{quoted(name)}"


def key_of(position: Position) -> str:
    """A position in the key of a row that has no other."""
    return str(position[0]) if len(position) == 1 and type(position[0]) is int else json.dumps(position)


def _order(
    connection: sqlite3.Connection, name: str, columns: tuple[str, ...], primary_key: tuple[str, ...], shown: str
) -> tuple[str, ...]:
    taken = {column.lower() for column in columns}
    for rowid in _ROWID_NAMES:
        if rowid not in taken:
            try:
                connection.execute(f"SELECT t.{rowid} FROM {quoted(name)} t LIMIT 0")  # noqa: S608 - quoted
            except sqlite3.OperationalError as error:
                if not is_damage(error):
                    raise
                break  # WITHOUT ROWID
            return (f"t.{rowid}",)
    if not primary_key:
        raise RecordsError(f"{shown}: columns of {name!r} hide its rowid, and it has no primary key to read it by")
    return tuple(map(_column, primary_key))


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")


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
