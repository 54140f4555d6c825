"""Opening SQLite files so that nothing is written, not even beside them; and what their errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cluster.errors import RecordsError
from cluster.sources.stamps import FileStamp, stamp

MAGIC = b"SQLite format 3\0"
LOCK_TIMEOUT_S = 5.0
_WAL_VERSIONS_AT = 18
_BESIDE = ("-wal", "-journal")

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
        connection.execute("PRAGMA trusted_schema = OFF")  # the file's own SQL calls no function with side effects
        connection.execute("PRAGMA cell_size_check = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def stamps(path: Path) -> tuple[FileStamp, ...]:
    """Of the file and what SQLite may have beside it, relative to its folder."""
    folder = str(path.parent)
    return tuple(stamp(folder, path.name + suffix) for suffix in ("", *_BESIDE))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error is of the content, not of the disk, a lock or memory."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or code & _PRIMARY not in _UNAVAILABLE


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path, suffix: str) -> int:
    try:
        return _beside(path, suffix).stat().st_size
    except FileNotFoundError:
        return 0
