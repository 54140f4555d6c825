"""The tables and views of a SQLite file, and which of them is meant."""

from __future__ import annotations

import sqlite3

from cluster.errors import RecordsError
from cluster.sources.choice import shown_columns
from cluster.sources.sqlite_file import is_damage, is_of_the_query
from cluster.sources.sqlite_table import Table, Wanted, column_of, quoted

_ROWID_NAMES = ("rowid", "_rowid_", "oid")
_SHOWN_TABLES = 20
_HIDDEN = 1
"""What PRAGMA table_xinfo says of a virtual table's hidden column; 2 and 3 are generated ones."""


def find_table(connection: sqlite3.Connection, name: str | None, shown: str) -> Table:
    """The table or view of that name; without one the only table, or the only one that has rows.

    Raises RecordsError, sqlite3.Error.
    """
    tables, views = _names(connection, "table"), _names(connection, "view")
    if name in tables or name in views:
        return _table(connection, name, shown, is_view=name in views)
    visible = _visible(connection)
    if name is None:
        with_rows = visible if len(visible) == 1 else tables_with_rows(connection)
        if len(with_rows) == 1:
            return _table(connection, with_rows[0], shown, is_view=False)
    which = "which table? Name it with --table" if name is None else f"no table {name!r}"
    has = [_described(connection, table, shown) for table in visible[:_SHOWN_TABLES]]
    has += [f"and {len(visible) - _SHOWN_TABLES} more tables"] if len(visible) > _SHOWN_TABLES else []
    has += [f"the view {view}" for view in views]
    raise RecordsError(f"{shown}: {which}; the file has {', '.join(has) or 'none'}")


def tables_with_rows(connection: sqlite3.Connection) -> list[str]:
    """Names; those that keep what virtual tables show are left out. Raises sqlite3.Error."""
    return [table for table in _visible(connection) if _has_rows(connection, table)]


def check_readable(connection: sqlite3.Connection, table: Table, wanted: Wanted, shown: str) -> None:
    """Raises RecordsError where SQLite has no function or module that a column or view is made with."""
    try:
        table.check(connection, wanted)
    except sqlite3.Error as error:
        if is_of_the_query(error):
            raise RecordsError(f"{shown}: {table.name!r} cannot be read: {error}") from error
        raise


def _names(connection: sqlite3.Connection, type_: str) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
    return [_shown(row[0]) for row in connection.execute(query, (type_,))]


def _visible(connection: sqlite3.Connection) -> list[str]:
    """Tables but those that virtual tables keep their content in, where SQLite tells (since 3.37)."""
    listed = connection.execute("PRAGMA table_list")
    shadows = {_shown(name) for _, name, type_, *_ in listed if type_ == b"shadow"}
    return [table for table in _names(connection, "table") if table not in shadows]


def _has_rows(connection: sqlite3.Connection, name: str) -> bool:
    """A table that cannot be looked into counts as one that has."""
    try:
        return connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 1").fetchone() is not None  # noqa: S608 - quoted
    except sqlite3.Error as error:
        if is_damage(error):
            return True
        raise


def _described(connection: sqlite3.Connection, name: str, shown: str) -> str:
    try:
        return f"{name} ({shown_columns(_table(connection, name, shown, is_view=False).columns())})"
    except sqlite3.Error as error:
        return f"{name} ({error})"


def _table(connection: sqlite3.Connection, name: str, shown: str, *, is_view: bool) -> Table:
    info = list(connection.execute(f"PRAGMA table_xinfo({quoted(name)})"))
    columns = [(_shown(row[1]), _shown(row[2] or b""), row[5], row[6]) for row in info if row[6] != _HIDDEN]
    types = {column: type_ for column, type_, _, _ in columns}
    if len(types) < len(columns):
        raise RecordsError(f"{shown}: two columns of {name!r} have one name, as far as it can be shown")
    primary_key = tuple(column for _, column in sorted((at, column) for column, _, at, _ in columns if at))
    generated = frozenset(column for column, _, _, how in columns if how)
    order = () if is_view else _order(connection, name, set(types), primary_key)
    return Table(name, types, primary_key, generated, order)


def _order(
    connection: sqlite3.Connection, name: str, columns: set[str], primary_key: tuple[str, ...]
) -> tuple[str, ...]:
    """The rowid or the primary key; nothing where columns hide the one and SQLite cannot compare by the other."""
    taken = {column.lower() for column in columns}
    rowids = [(f"t.{rowid}",) for rowid in _ROWID_NAMES if rowid not in taken]
    for order in (*rowids[:1], *([tuple(map(column_of, primary_key))] if primary_key else [])):
        try:
            by = ", ".join(order)
            connection.execute(f"SELECT {by} FROM {quoted(name)} t ORDER BY {by} LIMIT 0")  # noqa: S608 - quoted
        except sqlite3.Error as error:
            if not is_of_the_query(error):
                raise
        else:
            return order
    return ()


def _shown(name: bytes) -> str:
    return name.decode(errors="replace")
