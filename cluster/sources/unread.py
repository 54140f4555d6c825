"""All that a source does not read, counted and listed: for reports and the screen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cluster.sources.base import Source
from cluster.sources.storage import printable
from cluster.sources.walk import FAULTS

MAX_LISTED = 100_000
_SHOWN = 10


@dataclass(slots=True)
class Unread:
    """`reasons` counts all files and folders, `listed` has the first of them: place, reason, and that in words."""

    reasons: Counter[str] = field(default_factory=Counter)
    listed: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, *sources: Source) -> Unread:
        """Of sources that can tell. Raises RecordsError."""
        found = cls()
        for source in sources:
            not_read = getattr(source, "not_read", None)
            for one in not_read() if not_read else ():
                found.reasons[one.reason] += 1
                if len(found.listed) < MAX_LISTED:
                    found.listed.append({name: printable(text) for name, text in one._asdict().items()})
        return found

    @property
    def faults(self) -> int:
        """Those in which records may be that were to be read."""
        return sum(count for reason, count in self.reasons.items() if reason in FAULTS)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"files": self.reasons.total(), "reasons": dict(sorted(self.reasons.items())), "listed": self.listed}

    def lines(self) -> list[str]:
        """For people: how many there are, and the first of them; nothing if there are none."""
        if not self.reasons:
            return []
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        total = self.reasons.total()
        lines = [f"Not read: {total:,} part{'' if total == 1 else 's'} of the source ({counts})"]
        lines += [f"  {one['place']}: {one['detail']}" for one in self.listed[:_SHOWN]]
        if (more := total - _SHOWN) > 0:
            lines.append(f"  and {more:,} more")
        return lines
