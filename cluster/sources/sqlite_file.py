"""Opening SQLite files so that nothing is written, not even beside them; and what their errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from cluster.errors import RecordsError
from cluster.sources.stamps import FileStamp, stamp

MAGIC = b"SQLite format 3\0"
LOCK_TIMEOUT_S = 5.0
_WAL_VERSIONS_AT = 18
_BESIDE = ("-wal", "-journal")

_INNOCUOUS = 0x200000
_FOR_JSON = ("json", "->")
_RANDOM = ("random", "randomblob")

_PRIMARY = 0xFF
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)


class Text(bytes):
    """A value of type TEXT, which need not be UTF-8; a BLOB is plain bytes."""

    __slots__ = ()


def connect(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises OSError, sqlite3.Error, RecordsError.

    A file in WAL mode is opened as unchangeable where its log is empty: SQLite would else make `-wal` and `-shm`
    files. Where the log is not empty these must be there already.
    """
    with path.open("rb") as file:
        header = file.read(_WAL_VERSIONS_AT + 2)
    mode = "mode=ro"
    if header[_WAL_VERSIONS_AT:] in (b"\1\2", b"\2\1", b"\2\2"):
        if not _size(path, "-wal"):
            mode += "&immutable=1"
        elif not _beside(path, "-shm").exists():
            raise RecordsError(
                f"{path}: its log {path.name}-wal holds changes, which cannot be read without writing a -shm file; "
                f'finish them, or those of a copy, with: sqlite3 FILE "PRAGMA wal_checkpoint(TRUNCATE)"'
            )
    connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=LOCK_TIMEOUT_S)
    connection.text_factory = Text
    try:
        # Else files are refused that have an index or a generated column by a function for JSON (SQLite 3.40). Those
        # with side effects SQLite keeps from every schema.
        connection.execute("PRAGMA trusted_schema = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.set_authorizer(_authorizer(connection))
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _authorizer(connection: sqlite3.Connection) -> Callable[..., int]:
    """For the SQL of views: of functions, the harmless ones and those for JSON, and none that is random."""
    listed = connection.execute("PRAGMA function_list")
    harmless = {name.decode().lower() for name, *_, flags in listed if flags & _INNOCUOUS}

    def authorize(action: int, _: str | None, name: str | None, __: str | None, view: str | None) -> int:
        if action != sqlite3.SQLITE_FUNCTION or view is None or name is None:
            return sqlite3.SQLITE_OK
        allowed = name.lower() not in _RANDOM and (name.lower() in harmless or name.lower().startswith(_FOR_JSON))
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return authorize


def stamps(path: Path) -> tuple[FileStamp, ...]:
    """Of the file and what SQLite may have beside it, relative to its folder."""
    folder = str(path.parent)
    return tuple(stamp(folder, path.name + suffix) for suffix in ("", *_BESIDE))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error is of the content, not of the disk, a lock or memory."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or code & _PRIMARY not in _UNAVAILABLE


def is_of_the_query(error: sqlite3.Error) -> bool:
    """Whether SQLite cannot do what it is asked: it lacks a function, a collation, a module, or one of them fails."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & _PRIMARY == sqlite3.SQLITE_ERROR


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path, suffix: str) -> int:
    try:
        return _beside(path, suffix).stat().st_size
    except FileNotFoundError:
        return 0
