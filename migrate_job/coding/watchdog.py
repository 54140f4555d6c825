"""Ends this process when a step takes longer than it may, also one in compiled code that never gives up the GIL."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from migrate_job.coding.records import Allow

_STDERR = 2
_MIN_INTERVAL_S = 0.5


@contextmanager
def watchdog() -> Iterator[Allow]:
    """A function that is told before each step the seconds it may take.

    When they are over, tracebacks go to standard error and the process exits: whoever started it learns that it died.
    """
    last = -inf
    granted_s = 0.0

    def allow(seconds: float) -> None:
        nonlocal last, granted_s
        now = time.monotonic()
        # Setting it starts a thread: not for every record of a quick source.
        if seconds != granted_s or now - last >= _MIN_INTERVAL_S:
            faulthandler.dump_traceback_later(seconds + _MIN_INTERVAL_S, exit=True, file=_STDERR)
            last, granted_s = now, seconds

    try:
        yield allow
    finally:
        faulthandler.cancel_dump_traceback_later()
