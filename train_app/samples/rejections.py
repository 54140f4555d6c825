"""Records that are not learnt from: counted by reason, the first places kept, all of them written to a file."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

_SHOWN_PLACES = 3


class Rejections:
    """What one reading of sources left out. `file`, appended to, is made when there is something to write."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.counts: Counter[str] = Counter()
        self._first: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, reason: str, place: str, detail: str) -> None:
        """One record: a machine-readable reason, where it is, what was wrong."""
        self.counts[reason] += 1
        if len(self._first[reason]) < _SHOWN_PLACES:
            self._first[reason].append(f"{place} ({detail})" if detail else place)
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as lines:
                lines.write(json.dumps({"place": place, "reason": reason, "detail": detail}) + "\n")

    def first_places(self) -> dict[str, list[str]]:
        """The first of each reason, with what was wrong."""
        return {reason: list(places) for reason, places in sorted(self._first.items())}

    def lines(self, records: int) -> Iterator[str]:
        """For people: how many of the records, why, and where the first of them are."""
        if not self.counts:
            return
        everything = f"; each is a line of {self.file}" if self.file else ""
        yield f"Left out {self.counts.total():,} of {records:,} records{everything}:"
        for reason, count in sorted(self.counts.items()):
            more = ", …" if count > _SHOWN_PLACES else ""
            yield f"  {count:,} {reason}: {', '.join(self._first[reason])}{more}"
