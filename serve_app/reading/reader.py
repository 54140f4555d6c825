"""Reads what stands in bodies: small ones at once, others in a thread, large ones in a process of their own.

While JSON is parsed or written nothing else of a process runs, its event loop neither, whichever thread does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from nbmf.errors import NbmfError
from serve_app.isolation.child import Child
from serve_app.isolation.pipes import Refusal
from serve_app.reading.answers import unpacked
from serve_app.reading.items import Bounds, Read
from serve_app.work.batching import Overloaded
from serve_app.work.collector import paused_collector
from serve_app.work.deadlines import DeadlineExceeded, check
from serve_app.work.off_loop import off_loop
from serve_app.work.results import DOWN, Failure, RequestFailed, failure_of

OWN_PROCESS_BYTES = 256 * 1024
"""Less holds the loop for some ten milliseconds at worst. A process takes a millisecond or two to hand it over."""

_PROCESSES = 2
_MODULE = "serve_app.reading.worker"
_LONGEST_S = 600.0
_OF_A_REFUSAL_BYTES = 1 << 20

T = TypeVar("T")


class Reader:
    """Reads for one replica of the ingress. Its processes start when they are first needed, and end with it."""

    def __init__(self, bounds: Bounds, max_waiting: int) -> None:
        self._bounds = bounds
        self._max_waiting = max_waiting
        self._threads = ThreadPoolExecutor(_PROCESSES, thread_name_prefix="reading")
        self._processes = [_Process(bounds) for _ in range(_PROCESSES)]
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        for process in self._processes:
            self._idle.put_nowait(process)
        self._waiting = 0

    async def read(
        self,
        function: Callable[..., Read[T]],
        parts: Sequence[bytes],
        *arguments: str | None,
        deadline: float,
        has_json: bool = True,
    ) -> tuple[bool, list[T | Failure]]:
        """What a function of `items` gives for these bytes and arguments: whether it is a batch, and its items.

        `has_json`: whether it parses any. Raises as the function, RequestFailed, Overloaded, DeadlineExceeded.
        """
        size_bytes = sum(map(len, parts))
        if size_bytes < OWN_PROCESS_BYTES or not has_json:
            read = await off_loop(size_bytes, _read, function, parts, self._bounds, *arguments)
            return read.is_batch, [failure_of(one) if isinstance(one, NbmfError) else one for one in read.items]
        question = json.dumps([function.__name__, self._bounds, arguments]).encode()
        answer = await self._ask([question, *parts], deadline)
        if isinstance(answer[0], Refusal):
            raise RequestFailed(_failure(answer[0]))
        is_batch, items = unpacked(answer)
        return is_batch, [_failure(one) if isinstance(one, Refusal) else cast(T, one) for one in items]

    async def _ask(self, asked: list[bytes], deadline: float) -> list[bytes | Refusal]:
        check(deadline)
        process = await self._next_idle(deadline) if self._idle.empty() else self._idle.get_nowait()
        work = asyncio.get_running_loop().run_in_executor(self._threads, process.ask, asked, deadline)
        work.add_done_callback(lambda _: self._idle.put_nowait(process))  # whether anybody still waits for it or not
        return await asyncio.shield(work)

    async def _next_idle(self, deadline: float) -> _Process:
        if self._waiting >= self._max_waiting:
            raise Overloaded
        self._waiting += 1
        try:
            return await asyncio.wait_for(self._idle.get(), max(deadline - time.time(), 0))
        except TimeoutError as error:
            raise DeadlineExceeded from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.close()


class _Process:
    """A process, which is started anew where it ended."""

    def __init__(self, bounds: Bounds) -> None:
        self._max_items = bounds.max_batch_records + 1
        self._max_item_bytes = bounds.max_body_bytes + 2 * bounds.max_payload_bytes + _OF_A_REFUSAL_BYTES
        self._child: Child | None = None

    def ask(self, asked: list[bytes], deadline: float) -> list[bytes | Refusal]:
        """Its answer. Raises RequestFailed where it ended, DeadlineExceeded where it was ended, as it took too long."""
        try:
            child = self._child = self._child or Child(_MODULE)
        except OSError as error:  # there is no room for a process
            raise RequestFailed(DOWN) from error
        seconds = min(deadline - time.time(), _LONGEST_S)
        answer = child.call(asked, self._max_items, self._max_item_bytes, max(seconds, 0))
        if answer:
            return answer
        self.close()
        if child.timed_out:
            raise DeadlineExceeded
        raise RequestFailed(DOWN)

    def close(self) -> None:
        """Ends it."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError):
                child.close()


def _read(function: Callable[..., Read[T]], parts: Sequence[bytes], bounds: Bounds, *arguments: str | None) -> Read[T]:
    with paused_collector():
        return function(parts, bounds, *arguments)


def _failure(refusal: Refusal) -> Failure:
    return Failure(refusal.code, refusal.message)
