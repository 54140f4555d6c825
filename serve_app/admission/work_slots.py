"""How many requests a replica of the ingress works at, and how many wait for that; health and the like are apart.

Serve's own limits count every connection that has begun a request, one that sends its body slowly and a health check
too. They are set beyond these.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve_app.work.batching import Overloaded
from serve_app.work.deadlines import until


class WorkSlots:
    """`limit` at a time, and `max_waiting` that wait for one of them to end."""

    def __init__(self, limit: int, max_waiting: int) -> None:
        self._free = asyncio.Semaphore(limit)
        self._max_waiting = max_waiting
        self._waiting = 0

    @asynccontextmanager
    async def taken(self, deadline: float) -> AsyncIterator[None]:
        """What is inside is one of them. Raises Overloaded, DeadlineExceeded."""
        if self._free.locked():
            if self._waiting >= self._max_waiting:
                raise Overloaded
            self._waiting += 1
            try:
                async with until(deadline):
                    await self._free.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()
