"""Calls that wait together are coded together; none waits for ever, none gets another's results."""

import asyncio
import math
import pickle
import threading
import time
from itertools import chain, repeat
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.work import batching
from serve_app.work.batching import Batcher, Overloaded, Speed, Speeds
from serve_app.work.deadlines import DeadlineExceeded


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


def run(
    work,
    calls,
    *,
    max_records=4,
    max_bytes=1000,
    concurrency=1,
    max_wait_s=math.inf,
    most_of_a_call=None,
    during=lambda _tasks: None,
):
    """Results or errors of calls (how, items, deadline), all of which wait while the first batch is in work."""

    async def main():
        batcher = Batcher(work, max_records, max_bytes, concurrency, max_wait_s, most_of_a_call=most_of_a_call)
        tasks = []
        for how, items, deadline in calls:
            sizes = [item if isinstance(item, int) else 1 for item in items]
            tasks.append(asyncio.create_task(batcher(how, items, sizes, deadline)))
            await asyncio.sleep(0)
        during(tasks)
        await asyncio.sleep(0)
        work.free.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not batcher._queue
        return results

    return asyncio.run(main())


def test_what_waits_is_the_next_batch(work):
    assert run(work, [("a", [n], math.inf) for n in range(6)]) == [[n * 2] for n in range(6)]
    assert work.batches == [("a", [0]), ("a", [1, 2, 3, 4]), ("a", [5])]


def test_calls_of_other_kinds_are_batches_of_their_own(work):
    calls = [("a", [1], math.inf), ("b", [2], math.inf), ("a", [3], math.inf), ("b", [4], math.inf)]
    assert run(work, calls) == [[2], [4], [6], [8]]
    assert work.batches == [("a", [1]), ("b", [2, 4]), ("a", [3])]


@pytest.fixture
def first_come(monkeypatch):
    """Batchers to which all seems as quick."""
    monkeypatch.setattr(Speed, "time_of", lambda *_: 0.0)


@pytest.mark.usefixtures("first_come")
def test_a_large_call_is_cut_and_small_ones_go_between(work):
    assert run(work, [("a", list(range(1, 11)), math.inf), ("a", [20], math.inf)])[1] == [40]
    assert [items for _, items in work.batches] == [[1, 2, 3, 4], [5, 6, 7, 8], [20, 9, 10]]


@pytest.mark.usefixtures("first_come")
def test_batches_are_bounded_in_bytes_but_one_item_may_have_more(work):
    calls = [("a", [1], math.inf), ("a", [600], math.inf), ("a", [500, 5000], math.inf), ("a", [7], math.inf)]
    assert run(work, calls) == [[2], [1200], [1000, 10000], [14]]
    assert [items for _, items in work.batches] == [[1], [600], [500], [7], [5000]]


@pytest.mark.usefixtures("slow")
def test_the_small_goes_before_the_large(work):
    """By ten bytes a second; what came within the same moment."""
    calls = [("a", [size], math.inf) for size in (1, 900, 30, 400, 20)]
    assert run(work, calls, max_records=1) == [[2], [1800], [60], [800], [40]]
    assert [items for _, items in work.batches] == [[1], [20], [30], [400], [900]]


def test_the_large_waits_no_longer_than_its_due(work, monkeypatch):
    """What is behind it comes a tenth of a second apart; the large one is behind what comes within 0.16 s."""
    monkeypatch.setattr(batching, "_RECORD_BYTES", 0)
    monkeypatch.setattr(Speed, "time_of", lambda _, size_bytes: size_bytes / 10_000)
    came = chain([0.0, 0.0, 0.0, 0.1, 0.2, 0.3], repeat(9.0))  # one is the first batch's beginning
    monkeypatch.setattr(batching, "time", SimpleNamespace(perf_counter=came.__next__))
    calls = [("a", [size], math.inf) for size in (1, 900, 100, 101, 102)]
    assert run(work, calls, max_records=1) == [[2], [1800], [200], [202], [204]]
    assert [items for _, items in work.batches] == [[1], [100], [900], [101], [102]]


def test_calls_by_themselves(work):
    assert run(work, [("a", [n], math.inf) for n in (1, 2, 3)], most_of_a_call=2, concurrency=2) == [[2], [4], [6]]
    assert work.batches == [("a", [1]), ("a", [2]), ("a", [3])]


def test_a_large_call_by_itself_leaves_places_to_others(work):
    calls = [("a", list(range(40)), math.inf), ("a", [100], math.inf)]
    assert run(work, calls, most_of_a_call=2, concurrency=5) == [[2 * n for n in range(40)], [200]]
    assert ("a", [100]) in work.batches[:3]


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


@pytest.fixture
def slow(monkeypatch):
    """Batchers that find ten bytes a second to be their speed, however many records."""
    monkeypatch.setattr(batching, "_RECORD_BYTES", 0)
    monkeypatch.setattr(Speed, "time_of", lambda _, size_bytes: size_bytes / 10)


@pytest.mark.usefixtures("slow")
def test_what_would_wait_for_long_is_refused(work):
    """The first is in work at once; later ones come as long as those that wait take no longer than a second."""
    calls = [("a", [size], math.inf) for size in (90, 4, 5, 2, 1)]
    results = run(work, calls, max_wait_s=1)
    assert [type(result) for result in results] == [list, list, list, list, Overloaded]
    assert pickle.loads(pickle.dumps(results[-1])).args == results[-1].args


@pytest.mark.usefixtures("slow")
def test_a_large_call_is_taken_when_nothing_waits(work):
    calls = [("a", [1], math.inf), ("a", [500, 500], math.inf), ("a", [1], math.inf)]
    assert [type(result) for result in run(work, calls, max_wait_s=1)] == [list, list, Overloaded]


def test_the_speed_is_that_of_the_last_batches():
    speed = Speed()
    assert speed.time_of(1000) == 0
    speed.add(100, 1.0)
    assert speed.time_of(1000) == pytest.approx(10)
    for _ in range(100):
        speed.add(400, 1.0)
    assert speed.time_of(1000) == pytest.approx(2.5, rel=0.01)
    speed.add(0, 0.0)
    assert speed.time_of(1000) == pytest.approx(2.5, rel=0.01)


def test_batches_make_up_the_speed(work):
    work.free.set()
    batcher = Batcher(work, 4, 1000, 1, 1e-9)

    async def twice():
        await batcher("a", [1], [1], math.inf)
        first = asyncio.create_task(batcher("a", [1], [1], math.inf))
        second = asyncio.create_task(batcher("a", [1], [1], math.inf))
        third = asyncio.create_task(batcher("a", [1], [1], math.inf))
        return await asyncio.gather(first, second, third, return_exceptions=True)

    assert [type(result) for result in asyncio.run(twice())] == [list, list, Overloaded]


def test_each_of_several_batches_at_once_has_its_part_of_the_speed(monkeypatch):
    """Two, of two seconds each, side by side: their bytes took two seconds, not four."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(batching, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(batching, "_RECORD_BYTES", 0)
    work = Work()

    async def both():
        batcher = Batcher(work, 1, 1000, 2)
        calls = [asyncio.create_task(batcher("a", [size], [size], math.inf)) for size in (30, 50)]
        await asyncio.sleep(0)
        clock.now = 2.0
        work.free.set()
        await asyncio.gather(*calls)
        return batcher._speeds.time_of("a", 40)

    assert asyncio.run(both()) == pytest.approx(1.0, rel=0.1)


class WorkOfTwoSpeeds(Work):
    """A byte a second where `how` is "slow", ten else; on `clock`, as time is for the batcher."""

    def __init__(self):
        super().__init__()
        self.clock = SimpleNamespace(now=0.0)

    def __call__(self, how, items):
        done = super().__call__(how, items)
        self.clock.now += sum(items) / (1 if how == "slow" else 10)
        return done


@pytest.fixture
def two_speeds(monkeypatch):
    work = WorkOfTwoSpeeds()
    monkeypatch.setattr(batching, "time", SimpleNamespace(perf_counter=lambda: work.clock.now))
    monkeypatch.setattr(batching, "_RECORD_BYTES", 0)
    return work


def after_batches_of(known, work, calls, max_wait_s=math.inf, batches=30):
    """What became of calls (how, size), which all wait while the first is in work, after some batches of each kind."""

    async def main():
        batcher = Batcher(work, 1, 1000, 1, max_wait_s)
        work.free.set()
        for how in [how for how in known for _ in range(batches)]:
            await batcher(how, [10], [10], math.inf)
        work.free.clear()
        work.batches.clear()
        tasks = []
        for how, size in calls:
            tasks.append(asyncio.create_task(batcher(how, [size], [size], math.inf)))
            await asyncio.sleep(0)
        work.free.set()
        return [type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)]

    return asyncio.run(main())


@pytest.mark.parametrize("known", [("slow", "fast"), ("fast", "slow")])
def test_what_waits_counts_by_the_speed_of_its_own_kind(two_speeds, known):
    """Up to twenty seconds are waited for, of which 72 quick bytes are seven, and 19 slow ones 19."""
    quick = [("slow", 1), ("fast", 72), ("slow", 5), ("fast", 80), ("fast", 1)]
    assert after_batches_of(known, two_speeds, quick, 20) == [list, list, list, list, Overloaded]
    slow = [("fast", 1), ("slow", 19), ("fast", 1), ("slow", 4), ("fast", 1), ("slow", 1)]
    assert after_batches_of(known, two_speeds, slow, 20) == [list, list, list, list, Overloaded, Overloaded]


def test_a_kind_without_a_batch_has_the_speed_of_all(two_speeds):
    """19 bytes took ten seconds, as the older batch counts for less."""
    calls = [("slow", 1), ("new", 18), ("new", 1)]
    assert after_batches_of(["slow", "fast"], two_speeds, calls, 10, batches=1) == [list] * 3
    calls = [("slow", 1), ("new", 20), ("new", 1)]
    assert after_batches_of(["slow", "fast"], two_speeds, calls, 10, batches=1) == [list, list, Overloaded]


def test_the_quick_goes_before_what_takes_long(two_speeds):
    calls = [("slow", 1), ("slow", 20), ("fast", 100), ("slow", 5)]
    assert after_batches_of(["slow", "fast"], two_speeds, calls) == [list] * 4
    assert two_speeds.batches == [("slow", [1]), ("slow", [5]), ("fast", [100]), ("slow", [20])]


def test_the_first_batch_of_a_kind_is_half_believed():
    speeds = Speeds()
    speeds.add("old", 10, 1.0)
    assert speeds.time_of("old", 10) == pytest.approx(1.0)
    speeds.add("new", 10, 5.0)
    assert speeds.time_of("new", 10) == pytest.approx(3.0, rel=0.1)


def test_what_nobody_waits_for_is_no_reason_to_refuse(two_speeds):
    async def main():
        batcher = Batcher(two_speeds, 1, 1000, 1, 5)
        two_speeds.free.set()
        await batcher("slow", [10], [10], math.inf)
        two_speeds.free.clear()
        at_work = asyncio.create_task(batcher("slow", [1], [1], math.inf))
        await asyncio.sleep(0)
        gone = asyncio.create_task(batcher("slow", [100], [100], math.inf))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        waits = asyncio.create_task(batcher("slow", [2], [2], math.inf))
        await asyncio.sleep(0)
        two_speeds.free.set()
        return await asyncio.gather(at_work, waits)

    assert len(asyncio.run(main())) == 2


def test_kinds_are_bounded_and_the_last_are_kept():
    """As where each request has another latency budget."""
    speeds = Speeds()
    for budget_ms in range(1000):
        speeds.add(("auto", budget_ms), 10, 1.0)
        speeds.add("fast", 100, 1.0)
    assert len(speeds._of_kind) == 32
    assert speeds.time_of("fast", 100) == pytest.approx(1)
    assert speeds.time_of(("auto", 999), 100) == pytest.approx(6, rel=0.1)
    assert speeds.time_of(("auto", 0), 110) == pytest.approx(2, rel=0.1)


def test_small_records_make_no_others_look_slow(monkeypatch):
    """A second was expected for a thousand bytes where one byte had taken a millisecond."""
    clock = SimpleNamespace(perf_counter=iter(number / 1000 for number in range(100)).__next__)
    monkeypatch.setattr(batching, "time", clock)
    work = Work()
    work.free.set()
    batcher = Batcher(work, 4, 1000, 1, 0.5)

    async def calls():
        await batcher("a", [1], [1], math.inf)
        return await asyncio.gather(*(batcher("a", [1], [1000], math.inf) for _ in range(5)))

    assert asyncio.run(calls()) == [[2]] * 5


def test_calls_that_nobody_waits_for_hold_no_place(work):
    def during(tasks):
        tasks[1].cancel()

    calls = [
        ("a", [1], math.inf),
        ("a", [90], math.inf),
        ("b", [9], time.time() + 0.01),
        ("a", ["poison", 2], math.inf),
    ]
    results = run(work, calls, max_records=1, during=during)
    assert isinstance(results[1], asyncio.CancelledError)
    assert isinstance(results[3], ValueError)
