"""Small files that are replaced as a whole or appended to, on a local filesystem, on a full one too.

Beside each is a spare, `NAME.spare`, of blocks that are taken already. When no space is left, what is to be written
goes into the spare, which then takes the file's name: so a rollback needs no space, where the filesystem overwrites
blocks in place (not on btrfs and ZFS).
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_ROOM_BYTES = 16 * 1024  # of a spare, for what the file grows by before there is space again


def replace(path: Path, content: bytes) -> None:
    """Readers see the file as it was or as it is to be. Raises OSError, and nothing is left of what was begun."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with new.open("wb") as file:
            _write(file.fileno(), content)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        if error.errno not in _NO_SPACE:
            raise
        _replace_by_spare(path, content, error)
    _keep_spare(path, len(content))


def append(path: Path, content: bytes) -> None:
    """Adds to the file, or nothing at all. Raises OSError."""
    with path.open("ab") as file:
        before = file.tell()
        try:
            _write(file.fileno(), content)
            size = before + len(content)
        except OSError as error:
            os.ftruncate(file.fileno(), before)
            if error.errno not in _NO_SPACE:
                raise
            size = 0
    if size:
        _keep_spare(path, size)
    else:
        replace(path, path.read_bytes() + content)


def _write(file: int, content: bytes) -> None:
    """All of it, to the disk: a disk that is full may say so only then."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
    os.fsync(file)


def _spare(path: Path) -> Path:
    return path.with_name(f"{path.name}.spare")


def _replace_by_spare(path: Path, content: bytes, full: OSError) -> None:
    """Raises `full` if there is no spare, or none that is large enough."""
    spare = _spare(path)
    try:
        with spare.open("r+b") as file:
            if os.fstat(file.fileno()).st_size < len(content):
                raise full
            _write(file.fileno(), content)
            os.ftruncate(file.fileno(), len(content))
            os.fsync(file.fileno())
        spare.replace(path)
    except FileNotFoundError:
        raise full from None


def _keep_spare(path: Path, size: int) -> None:
    """As far as there is space for one."""
    spare = _spare(path)
    with contextlib.suppress(OSError):
        if spare.exists() and spare.stat().st_size >= size + _ROOM_BYTES // 2:
            return
        try:
            with spare.open("wb") as file:
                _write(file.fileno(), bytes(size + _ROOM_BYTES))
        except OSError:
            if not spare.stat().st_size > size:
                spare.unlink(missing_ok=True)
            raise
