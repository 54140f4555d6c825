"""Calls that wait together are coded together; none waits for ever, none gets another's results."""

import asyncio
import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.batching import Batcher
from serve_app.deadlines import DeadlineExceeded


class Work:
    """What a batcher calls: doubles its items, when it is let."""

    def __init__(self):
        self.batches = []
        self.free = threading.Event()

    def __call__(self, how, items):
        self.batches.append((how, items))
        assert self.free.wait(60)
        if "poison" in items:
            raise ValueError("poison")
        return [item * 2 for item in items]


@pytest.fixture
def work():
    return Work()


def run(work, calls, *, max_records=4, max_bytes=1000, concurrency=1, during=lambda _tasks: None):
    """Results or errors of calls (how, items, deadline), all of which wait while the first batch is in work."""

    async def main():
        batcher = Batcher(work, max_records, max_bytes, concurrency)
        tasks = []
        for how, items, deadline in calls:
            sizes = [item if isinstance(item, int) else 1 for item in items]
            tasks.append(asyncio.create_task(batcher(how, items, sizes, deadline)))
            await asyncio.sleep(0)
        during(tasks)
        await asyncio.sleep(0)
        work.free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(main())


def test_what_waits_is_the_next_batch(work):
    assert run(work, [("a", [n], math.inf) for n in range(6)]) == [[n * 2] for n in range(6)]
    assert work.batches == [("a", [0]), ("a", [1, 2, 3, 4]), ("a", [5])]


def test_calls_of_other_kinds_are_batches_of_their_own(work):
    calls = [("a", [1], math.inf), ("b", [2], math.inf), ("a", [3], math.inf), ("b", [4], math.inf)]
    assert run(work, calls) == [[2], [4], [6], [8]]
    assert work.batches == [("a", [1]), ("b", [2, 4]), ("a", [3])]


def test_a_large_call_is_cut_and_small_ones_go_between(work):
    assert run(work, [("a", list(range(1, 11)), math.inf), ("a", [20], math.inf)])[1] == [40]
    assert [items for _, items in work.batches] == [[1, 2, 3, 4], [5, 6, 7, 8], [20, 9, 10]]


def test_batches_are_bounded_in_bytes_but_one_item_may_have_more(work):
    calls = [("a", [1], math.inf), ("a", [600], math.inf), ("a", [500, 5000], math.inf), ("a", [7], math.inf)]
    assert run(work, calls) == [[2], [1200], [1000, 10000], [14]]
    assert [items for _, items in work.batches] == [[1], [600], [500], [7], [5000]]


def test_nothing_is_coded_for_a_call_that_is_late_or_cancelled(work):
    def cancel(tasks):
        tasks[2].cancel()

    calls = [("a", [1], math.inf), ("a", [2], time.time()), ("a", [3], math.inf), ("a", [4], math.inf)]
    first, late, cancelled, last = run(work, calls, during=cancel)
    assert (first, last) == ([2], [8])
    assert isinstance(late, DeadlineExceeded)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert work.batches == [("a", [1]), ("a", [4])]


def test_an_error_is_of_its_batch_only(work):
    calls = [("a", [1], math.inf), ("b", ["poison", 2], math.inf), ("a", [3], math.inf)]
    first, failed, last = run(work, calls)
    assert (first, last) == ([2], [6])
    assert isinstance(failed, ValueError)


def test_an_empty_call():
    async def main():
        return await Batcher(lambda *_: 1 / 0, 1, 1)("a", [], [], 0.0)

    assert asyncio.run(main()) == []


@given(
    calls=st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 40), max_size=12)), max_size=12),
    max_records=st.integers(1, 5),
    max_bytes=st.integers(1, 60),
    concurrency=st.integers(1, 3),
)
def test_everyone_gets_its_own(calls, max_records, max_bytes, concurrency):
    work = Work()
    work.free.set()
    asked = [(how, items, math.inf) for how, items in calls]
    results = run(work, asked, max_records=max_records, max_bytes=max_bytes, concurrency=concurrency)
    assert results == [[item * 2 for item in items] for _, items in calls]
    for _, items in work.batches:
        assert len(items) <= max_records
        assert len(items) == 1 or sum(items) <= max_bytes
