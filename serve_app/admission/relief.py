"""Where encoders have not the time for all that comes, counts alone encode it: larger blobs in place of refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from nbmf.effort import EffortSetting

_SMALL_BYTES = 4096
"""Larger requests take long by themselves."""


class Relief:
    """What effort the next records are encoded with, as this replica of the ingress sees its own.

    While two small requests have been at the encoders for `after_s` and longer, effort `auto` becomes `fast`. None:
    never. One alone may wait for a replica that is lost.
    """

    def __init__(self, after_s: float | None) -> None:
        self._after_s = after_s
        self._since: dict[object, float] = {}  # of small requests, the oldest first

    def effort(self, asked: EffortSetting) -> EffortSetting:
        """For what comes now."""
        second = next(islice(self._since.values(), 1, None), None)
        if self._after_s is None or asked.name != "auto" or second is None:
            return asked
        return replace(asked, name="fast") if time.perf_counter() - second >= self._after_s else asked

    @contextmanager
    def waiting(self, size_bytes: int) -> Iterator[None]:
        """So many bytes of records are being encoded."""
        call = object()
        if size_bytes <= _SMALL_BYTES:
            self._since[call] = time.perf_counter()
        try:
            yield
        finally:
            self._since.pop(call, None)
