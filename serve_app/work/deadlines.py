"""Deadlines: the moment after which nobody waits for an answer, so that nothing more is done for it.

They are points in time, in seconds since the epoch, as they go from one machine to another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nbmf.errors import NbmfError
from nbmf.protocol import TIMEOUT_MS


class DeadlineExceeded(NbmfError):
    """A request's time is over."""

    code = "deadline_exceeded"

    def __init__(self) -> None:
        super().__init__(f"the request's time is over; give it more with {TIMEOUT_MS}, up to the server's limit")

    def __reduce__(self) -> tuple[type[DeadlineExceeded], tuple[()]]:
        return type(self), ()


def deadline_of(arrived: float, asked_ms: int | None, limit_s: float) -> float:
    """When a request that arrived then must be answered: after what it asked for, but the server's limit at most."""
    # Compared before it is divided: an integer may be too large for a float.
    return arrived + (limit_s if asked_ms is None or asked_ms >= limit_s * 1000 else asked_ms / 1000)


def check(deadline: float) -> None:
    """Raises DeadlineExceeded if it has passed."""
    if time.time() >= deadline:
        raise DeadlineExceeded


@asynccontextmanager
async def until(deadline: float) -> AsyncIterator[None]:
    """What is inside is not begun after the deadline, and not awaited beyond it. Raises DeadlineExceeded."""
    check(deadline)
    try:
        async with asyncio.timeout(deadline - time.time()) as timer:
            yield
    except TimeoutError as error:
        if timer.expired():
            raise DeadlineExceeded from error
        raise
    check(deadline)
