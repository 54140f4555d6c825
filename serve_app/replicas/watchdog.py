"""Ends a replica's process when a batch in it does not come to an end: Serve then starts another in its place.

By a thread of the C library's, which no loop in compiled code keeps from running, whatever lock it holds.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from serve_app.isolation.limits import limit_s

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_ends: dict[object, float] = {}
"""By when the batches in work are to be done; the alarm is for the first of them."""


def watched(
    work: Callable[[Hashable, list[T]], Sequence[R]], size_bytes: Callable[[T], int], timeout_s: float
) -> Callable[[Hashable, list[T]], Sequence[R]]:
    """`work(how, items)`, which ends the process, and says where it was, if it takes far too long for their bytes."""

    def run(how: Hashable, items: list[T]) -> Sequence[R]:
        key = object()
        end = time.monotonic() + limit_s(timeout_s, sum(map(size_bytes, items)))
        with _lock:
            _ends[key] = end
            _set_alarm()
        try:
            return work(how, items)
        finally:
            with _lock:
                del _ends[key]
                _set_alarm()

    return run


def _set_alarm() -> None:
    if _ends:
        left_s = max(min(_ends.values()) - time.monotonic(), 0.001)
        faulthandler.dump_traceback_later(left_s, exit=True, file=sys.__stderr__ or sys.stderr)
    else:
        faulthandler.cancel_dump_traceback_later()
