"""How many requests a replica of the ingress works at, and how many wait for that; health and the like are apart.

Serve's own limits count every connection that has begun a request, one that sends its body slowly and a health check
too. They are set beyond these.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

from serve_app.work.batching import Overloaded
from serve_app.work.deadlines import until


class Side(StrEnum):
    """Whose replicas a request is for."""

    ENCODE = "encode"
    DECODE = "decode"


class WorkSlots:
    """`limit` at a time, and `max_waiting` that wait for one of them to end.

    A side has three quarters of both at most: where its replicas hang, or are slow, requests for the other's go on.
    """

    def __init__(self, limit: int, max_waiting: int) -> None:
        self._free = asyncio.Semaphore(limit)
        self._free_of = {side: asyncio.Semaphore(_of_a_side(limit)) for side in Side}
        self._max_waiting = max_waiting
        self._waiting: Counter[Side] = Counter()

    @asynccontextmanager
    async def taken(self, side: Side, deadline: float) -> AsyncIterator[None]:
        """What is inside is one of them. Raises Overloaded, DeadlineExceeded."""
        async with AsyncExitStack() as held:
            if self._free.locked() or self._free_of[side].locked():
                if self._waiting.total() >= self._max_waiting or self._waiting[side] >= _of_a_side(self._max_waiting):
                    raise Overloaded
                self._waiting[side] += 1
                try:
                    async with until(deadline):
                        await self._take(side, held)
                finally:
                    self._waiting[side] -= 1
            else:
                await self._take(side, held)
            yield

    async def _take(self, side: Side, held: AsyncExitStack) -> None:
        await held.enter_async_context(self._free_of[side])
        await held.enter_async_context(self._free)


def _of_a_side(limit: int) -> int:
    return max(1, min(limit - 1, limit - limit // 4))
