"""Records of mixed sizes, made of documentation and metadata of this Python installation."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

from bench.demo.records import installation_records
from nbmf.payload import Payload, to_canonical

MEDIAN_BYTES, SPREAD = 835, 0.88
"""Sizes are log-normal, as of the real records that the built-in version was tested on: quartiles and the 95th
percentile are theirs to within 10 %."""
MIN_BYTES, MAX_BYTES = 100, 8192
_POOL = 6000


def mixed_records(count: int) -> list[Payload]:
    """So many texts, conversations and JSON records, a third each, of sizes as agents' memories have them.

    Longer ones than the installation has are several joined: of one text, one conversation, one list.
    """
    found = installation_records(_POOL)
    pools = [
        _Pool([record for record in found if isinstance(record, kind)], join)
        for kind, join in ((str, "\n\n".join), (list, _conversation), (dict, _page))
    ]
    chosen = [pool.of_size(size) for size, pool in zip(_sizes(count), itertools.cycle(pools), strict=False)]
    random.Random(0).shuffle(chosen)
    return chosen


def _sizes(count: int) -> Iterator[int]:
    for index in range(count):
        size = MEDIAN_BYTES * math.exp(SPREAD * NormalDist().inv_cdf((index + 0.5) / count))
        yield round(min(max(size, MIN_BYTES), MAX_BYTES))


class _Pool:
    """Records of one kind. Each is given away once, and all again when there is none left."""

    def __init__(self, records: list[Payload], join: Callable[[list[Any]], Payload]) -> None:
        sized = [(len(to_canonical(record)[1]), record) for record in records]
        self._all = sorted(sized, key=lambda entry: entry[0])
        self._left = list(self._all)
        self._join = join

    def of_size(self, size_bytes: int) -> Payload:
        """The largest record that is not larger, joined with others that fit while there is much room."""
        parts: list[Any] = []
        room = size_bytes
        while not parts or room > max(MIN_BYTES, size_bytes // 8):
            self._left = self._left or list(self._all)
            at = bisect_right(self._left, room, key=lambda entry: entry[0])
            if parts and at == 0:
                break
            taken, record = self._left.pop(max(at - 1, 0))
            parts.append(record)
            room -= taken
        return parts[0] if len(parts) == 1 else self._join(parts)


def _conversation(parts: list[list[dict[str, Any]]]) -> Payload:
    """All turns, and the system's of the first only."""
    return [*parts[0], *(turn for part in parts[1:] for turn in part if turn["role"] != "system")]


def _page(parts: list[Payload]) -> Payload:
    return {"type": "page", "items": parts}
