"""Locks of single records of a legacy store: writers of one key, threads and processes, go one after the other."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from nbmf.store.record_file import OWN_FOLDER

_STRIPES = 64
_threads = [Lock() for _ in range(_STRIPES)]


def locks_folder(root: Path) -> Path:
    """Where the locks of a store are, once it has writers that take them."""
    return root / OWN_FOLDER / "locks"


@contextmanager
def record_lock(root: Path, name: str) -> Iterator[None]:
    """Holds the lock of the record file of that name, in the store at `root`; others may share it.

    Between threads only where the store has no `locks_folder`, or there is no fcntl (Windows).
    """
    stripe = zlib.crc32(name.encode("utf-8", "surrogatepass")) % _STRIPES
    folder = locks_folder(root)
    with _threads[stripe]:
        if not folder.is_dir() or find_spec("fcntl") is None:
            yield
            return
        import fcntl

        descriptor = os.open(folder / f"{stripe:02}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
