"""Where encoders have not the time for all that comes, counts alone encode it: larger blobs in place of refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from nbmf.effort import EffortSetting


class Relief:
    """What effort the next records are encoded with, as this replica of the ingress sees its own.

    While records that are encoded quickly by themselves, of `max_bytes` together at most, have waited for `after_s`
    and longer, effort `auto` becomes `fast`. None: never.
    """

    def __init__(self, after_s: float | None, max_bytes: int) -> None:
        self._after_s = after_s
        self._max_bytes = max_bytes
        self._since: dict[object, float] = {}  # of what waits, the longest first

    def effort(self, asked: EffortSetting) -> EffortSetting:
        """For what comes now."""
        if self._after_s is None or asked.name != "auto" or not self._since:
            return asked
        waited_s = time.perf_counter() - next(iter(self._since.values()))
        return replace(asked, name="fast") if waited_s >= self._after_s else asked

    @contextmanager
    def waiting(self, size_bytes: int) -> Iterator[None]:
        """So many bytes of records are being encoded."""
        call = object()
        if size_bytes <= self._max_bytes:
            self._since[call] = time.perf_counter()
        try:
            yield
        finally:
            self._since.pop(call, None)
