"""How fast and how well a run goes, in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Rates:
    """Of the shards done since it was made; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._totals = dict.fromkeys(("records", "dead", "payload_bytes", "blob_bytes"), 0)

    def add(self, counts: dict[str, Any]) -> None:
        """Adds a shard's counts."""
        for name in self._totals:
            self._totals[name] += counts[name]

    def __str__(self) -> str:
        """Records and MB (10^6 bytes) of payload a second, payload bytes / blob bytes, and failures; empty at first."""
        seconds = self._clock() - self._begin
        totals = self._totals
        if not totals["records"] or seconds <= 0:
            return ""
        parts = [f"{totals['records'] / seconds:,.0f} records/s", f"{totals['payload_bytes'] / seconds / 1e6:.2f} MB/s"]
        if totals["blob_bytes"]:
            parts.append(f"ratio {totals['payload_bytes'] / totals['blob_bytes']:.2f}")
        parts.append(f"{totals['dead']:,} failed")
        return ", ".join(parts)
