"""Batches across calls: what waits while a batch is in work makes up the next one; nothing waits for more to come.

Not Serve's `batch`: it counts calls, not bytes, lets a call that does not fit wait behind later ones for ever, and runs
inside of Serve only.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nbmf.errors import NbmfError
from serve_app.work.deadlines import DeadlineExceeded, check

_KEPT = 0.9
"""Of a batch's weight, when the next one is counted."""
_RECORD_BYTES = 256
"""What a record takes beside its bytes: else many of one byte would make all others look as slow."""
_PATIENCE = 2.0
"""What is quicker is taken first if it came later by no more than so many times the difference between both."""
_MOST_KINDS = 32
"""Whose speeds are kept: callers may choose what makes a kind, such as a latency budget."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[T, R]):
    """A call. Of its items those from `taken` on are in no batch yet, and cost `left_bytes`; `in_work` are the batches
    that are, of it."""

    how: Hashable
    items: Sequence[T]
    sizes_bytes: Sequence[int]
    left_bytes: int
    deadline: float
    since: float
    future: asyncio.Future[list[R]]
    results: dict[int, R] = field(default_factory=dict)
    taken: int = 0
    in_work: int = 0


class Overloaded(NbmfError):
    """More waits than is worth waiting for."""

    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("more waits here than can be done soon; try again later")

    def __reduce__(self) -> tuple[type[Overloaded], tuple[()]]:
        return type(self), ()


class Speed:
    """Of the last batches, some ten of them: bytes over seconds. What it begins with is as a batch."""

    def __init__(self, size_bytes: int = 0, seconds: float = 0.0) -> None:
        self._bytes, self._seconds = float(size_bytes), seconds

    def add(self, size_bytes: int, seconds: float) -> None:
        """Counts a batch."""
        self._bytes = self._bytes * _KEPT + size_bytes
        self._seconds = self._seconds * _KEPT + seconds

    def time_of(self, size_bytes: int) -> float:
        """About how many seconds so many bytes will take; 0 before the first batch."""
        return size_bytes * self._seconds / self._bytes if self._bytes else 0.0


class Speeds:
    """Of each kind of work, as one may take ten times as long as another; of those that had the last batches. Any other
    is taken to be as quick as all together, and its first batch is half believed: it may have waited for memory."""

    def __init__(self) -> None:
        self._of_all = Speed()
        self._of_kind: dict[Hashable, Speed] = {}  # that with the last batch comes last

    def add(self, kind: Hashable, size_bytes: int, seconds: float) -> None:
        """Counts a batch."""
        expected = Speed(size_bytes, self._of_all.time_of(size_bytes) or seconds)
        of_kind = self._of_kind[kind] = self._of_kind.pop(kind, expected)
        for speed in (self._of_all, of_kind):
            speed.add(size_bytes, seconds)
        if len(self._of_kind) > _MOST_KINDS:
            del self._of_kind[next(iter(self._of_kind))]

    def time_of(self, kind: Hashable, size_bytes: int) -> float:
        """About how many seconds so many bytes of the kind will take; 0 before the first batch of any."""
        return self._of_kind.get(kind, self._of_all).time_of(size_bytes)


class Batcher(Generic[T, R]):
    """Gives items of several calls to `work(how, items)` together, in a thread, `concurrency` batches at a time.

    The thread is one of `threads`, or of those that the loop has for everything.

    A batch holds calls with an equal `how`, at most `max_records` items, and `max_bytes` unless one item alone has
    more; with `most_of_a_call` it holds those of one call, which has no more than so many batches in work at a time.
    What is quick goes before what takes long and came a little earlier; nothing waits for ever. A call with more items
    than a batch is cut: after each it counts as one that has just come, so that a small call never waits for all of a
    large one.

    A call that would have to wait for longer than `max_wait_s` is refused; one that finds nothing waiting is not.
    Serve's own limits are no good for that: its router, once a replica has max_ongoing_requests, sleeps up to half a
    second before it looks again.

    How long calls take is told by the speed of the last batches with an equal `how`.
    """

    def __init__(
        self,
        work: Callable[[Hashable, list[T]], Sequence[R]],
        max_records: int,
        max_bytes: int,
        concurrency: int = 1,
        max_wait_s: float = math.inf,
        threads: Executor | None = None,
        most_of_a_call: int | None = None,
    ) -> None:
        self._work = work
        self._most_of_a_call = most_of_a_call
        self._threads = threads
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._free = concurrency
        self._max_wait_s = max_wait_s
        self._speeds = Speeds()
        self._seconds: dict[asyncio.Task[None], float] = {}  # of each batch in work its share of the time
        self._shared_until = 0.0
        self._queue: list[_Waiting[T, R]] = []

    async def __call__(self, how: Hashable, items: Sequence[T], sizes_bytes: Sequence[int], deadline: float) -> list[R]:
        """Results in order. Raises Overloaded, DeadlineExceeded if the last item's batch cannot begin before it, and as
        `work`."""
        if not items:
            return []
        if self._expected_wait_s() > self._max_wait_s:
            raise Overloaded
        left_bytes = _cost_bytes(sizes_bytes)
        future: asyncio.Future[list[R]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(how, items, sizes_bytes, left_bytes, deadline, time.perf_counter(), future))
        self._start()
        return await future

    def _drop_unwanted(self) -> None:
        self._queue = [one for one in self._queue if _is_wanted(one)]

    def _expected_wait_s(self) -> float:
        self._drop_unwanted()
        return sum(self._speeds.time_of(one.how, one.left_bytes) for one in self._queue)

    def _start(self) -> None:
        while self._free and self._queue:
            batch = self._next()
            if not batch:
                return
            self._share_time()
            self._free -= 1
            for one in _calls(batch):
                one.in_work += 1
            self._seconds[asyncio.get_running_loop().create_task(self._run(batch))] = 0.0

    def _next(self) -> list[tuple[_Waiting[T, R], int]]:
        """(call, index of its item) of the next batch; calls that nobody waits for any more are dropped."""
        batch: list[tuple[_Waiting[T, R], int]] = []
        held_bytes = 0
        self._drop_unwanted()
        for one in sorted(self._queue, key=self._turn):
            if batch and one.how != batch[0][0].how:
                continue
            if self._most_of_a_call and one.in_work >= self._most_of_a_call:
                continue
            while one.taken < len(one.items):
                size_bytes = one.sizes_bytes[one.taken]
                if batch and (len(batch) >= self._max_records or held_bytes + size_bytes > self._max_bytes):
                    break
                batch.append((one, one.taken))
                held_bytes += size_bytes
                one.left_bytes -= size_bytes + _RECORD_BYTES
                one.taken += 1
            if one.taken < len(one.items):
                # One that got nothing of this batch keeps its place: else it might wait for ever.
                if batch[-1][0] is one:
                    one.since = time.perf_counter()
                break
            if self._most_of_a_call:
                break
        self._queue = [one for one in self._queue if one.taken < len(one.items)]
        return batch

    def _turn(self, one: _Waiting[T, R]) -> float:
        """The lower the sooner."""
        return one.since + _PATIENCE * self._speeds.time_of(one.how, min(one.left_bytes, self._max_bytes))

    async def _run(self, batch: list[tuple[_Waiting[T, R], int]]) -> None:
        try:
            how, items = batch[0][0].how, [one.items[index] for one, index in batch]
            results = await asyncio.get_running_loop().run_in_executor(self._threads, self._work, how, items)
            self._share_time()
            cost_bytes = _cost_bytes([one.sizes_bytes[index] for one, index in batch])
            self._speeds.add(how, cost_bytes, self._seconds[_this_task()])
            for (one, index), result in zip(batch, results, strict=True):
                one.results[index] = result
                if len(one.results) == len(one.items) and not one.future.done():
                    one.future.set_result([one.results[i] for i in range(len(one.items))])
        except Exception as error:
            for one, _ in batch:
                if not one.future.done():
                    one.future.set_exception(error)
        finally:
            self._share_time()
            self._free += 1
            for one in _calls(batch):
                one.in_work -= 1
            del self._seconds[_this_task()]
            self._start()

    def _share_time(self) -> None:
        """Each batch in work had its part of the time since the last was begun or ended."""
        now = time.perf_counter()
        for task in self._seconds:
            self._seconds[task] += (now - self._shared_until) / len(self._seconds)
        self._shared_until = now


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task  # noqa: S101
    return task


def _calls(batch: list[tuple[_Waiting[T, R], int]]) -> Iterable[_Waiting[T, R]]:
    return {id(one): one for one, _ in batch}.values()


def _cost_bytes(sizes_bytes: Sequence[int]) -> int:
    return sum(sizes_bytes) + _RECORD_BYTES * len(sizes_bytes)


def _is_wanted(one: _Waiting[T, R]) -> bool:
    if one.future.done():  # cancelled, or another part of it failed
        return False
    try:
        check(one.deadline)
    except DeadlineExceeded as error:
        one.future.set_exception(error)
        return False
    return True
