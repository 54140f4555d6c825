"""Files that are there whole or not at all, and on disk before they have their name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

_SCRATCH = re.compile(r".+\.tmp\.\d+", re.DOTALL)


def write_whole(
    path: Path, write: Callable[[Path], object], *, durable: bool = True, scratch_folder: Path | None = None
) -> None:
    """`write` fills a scratch file beside `path`, `<name>.tmp.<number>`, which then takes its place.

    Or in a folder of the same file system, where its name is short, however long that of `path` is.

    The number is chosen by chance: processes on different machines may have the same one. A file that is not
    `durable` is whole, but not on disk yet.
    """
    ending = f".tmp.{uuid4().int}"
    scratch = path.with_name(path.name + ending) if scratch_folder is None else scratch_folder / f"_{ending}"
    try:
        write(scratch)
        if durable:
            sync(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def remove_scratch(folder: Path, *beginnings: str) -> None:
    """Removes scratch files of what has such names, or any, that processes which were killed left in a folder.

    A process that is still at one fails, as far as it is concerned: it must be one that nobody waits for any more.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _SCRATCH.fullmatch(entry.name)]
    for name in names:
        if name.startswith(beginnings or ""):
            (folder / name).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """What is in a file, or which names a folder has, is on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
