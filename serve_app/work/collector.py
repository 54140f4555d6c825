"""Python's collector of cycles, which goes through all values again and again while many are made."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_paused = 0


@contextmanager
def paused_collector() -> Iterator[None]:
    """What makes many values and no cycles, as parsing JSON does, takes a third of the time inside."""
    global _paused
    with _lock:
        _paused += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _paused -= 1
            if not _paused:
                gc.enable()
