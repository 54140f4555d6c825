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

    @property
    def records(self) -> int:
        """So far, failed and skipped ones among them."""
        return self._totals["records"]

    def __str__(self) -> str:
        """Records and MB (10^6 bytes) of payload a second, payload bytes / blob bytes, and failures; empty at first."""
        return ", ".join(self._parts().values())

    def within(self, columns: int) -> str:
        """What of it goes into so many columns, the least important left out first."""
        parts = self._parts()
        if len(", ".join(parts.values())) > columns:
            parts = {name: part.replace("records", "rec") for name, part in parts.items()}
        for name in ("MB/s", "ratio", "records/s", "failed"):
            if len(", ".join(parts.values())) > columns:
                parts.pop(name, None)
        return ", ".join(parts.values())

    def _parts(self) -> dict[str, str]:
        seconds = self._clock() - self._begin
        totals = self._totals
        if not totals["records"] or seconds <= 0:
            return {}
        parts = {
            "records/s": f"{totals['records'] / seconds:,.0f} records/s",
            "MB/s": f"{totals['payload_bytes'] / seconds / 1e6:.2f} MB/s",
            "ratio": f"ratio {totals['payload_bytes'] / max(1, totals['blob_bytes']):.2f}",
            "failed": f"{totals['dead']:,} failed",
        }
        if not totals["blob_bytes"]:
            del parts["ratio"]
        return parts
