"""Bodies on their way in: how long they may take, and how many of them a replica waits for at a time.

HAProxy waits in front for what fits its buffer. What is larger is read here, and who sends it slowly, with any key,
must not take the places of those who wait for an answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from fastapi import Request

from nbmf.errors import NbmfError
from serve_app.observe.calls import call_of
from serve_app.work.batching import Overloaded
from serve_app.work.deadlines import until

_QUICK_S = 0.2
"""A body that is there by then was not waited for."""

_SLOWEST_BYTES_PER_S = 100_000


class BodyTooLarge(NbmfError):
    """A body has more bytes than the server takes."""

    code = "body_too_large"


class SlowBody(NbmfError):
    """A body takes too long to arrive."""

    code = "slow_body"


class IncomingBodies:
    """Reads bodies, of which at most `limit` at a time are waited for, each for `timeout_s` and as long as it arrives
    fast enough.

    A caller with an API key has no more of them than are left for all others, so that one alone never has all.
    """

    def __init__(self, limit: int, timeout_s: float) -> None:
        self._limit = limit
        self._timeout_s = timeout_s
        self._waited_for: Counter[str | None] = Counter()

    async def read(self, request: Request, max_bytes: int) -> bytes:
        """The body, counted while it arrives, which it must do before the deadline of the request's call.

        Raises BodyTooLarge, SlowBody, Overloaded, DeadlineExceeded.
        """
        too_large = BodyTooLarge(f"the body is over {max_bytes} bytes")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > max_bytes):
            raise too_large
        call, loop, body = call_of(request), asyncio.get_running_loop(), bytearray()
        begin, waited_for, refused = loop.time(), False, False

        def wait_for_it() -> None:
            nonlocal waited_for, refused
            if self._has_room(call.api_key):
                waited_for = True
                self._waited_for[call.api_key] += 1
            else:
                refused = True
                timer.reschedule(loop.time())

        try:
            async with until(call.deadline), asyncio.timeout(self._timeout_s) as timer:
                check = loop.call_later(_QUICK_S, wait_for_it)
                try:
                    async for chunk in request.stream():
                        body += chunk
                        if len(body) > max_bytes:
                            raise too_large
                        if not refused:
                            timer.reschedule(begin + self._timeout_s + len(body) / _SLOWEST_BYTES_PER_S)
                finally:
                    check.cancel()
        except TimeoutError as error:
            if refused:
                raise Overloaded from error
            raise SlowBody(
                f"{len(body)} bytes of the body arrived in {loop.time() - begin:.0f} s: send it within "
                f"{self._timeout_s:g} s, or faster than {_SLOWEST_BYTES_PER_S // 1000} kB a second"
            ) from error
        finally:
            if waited_for:
                self._waited_for[call.api_key] -= 1
        return bytes(body)

    def _has_room(self, caller: str | None) -> bool:
        free = self._limit - self._waited_for.total()
        return free > 0 and (caller is None or self._waited_for[caller] < free)
