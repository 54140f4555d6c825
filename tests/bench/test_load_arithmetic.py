"""`nbmf bench load` without a service: the schedule, the summary of a step, and the search for saturation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.load.arrivals import schedule
from bench.load.search import NotSustained, SearchPlan, search
from bench.load.step import Outcome, percentiles_ms, summary, sustained


@settings(deadline=None, derandomize=True, database=None)
@given(
    rate=st.floats(0.1, 200),
    duration=st.floats(0.1, 5),
    share=st.floats(0, 1),
    records=st.integers(1, 50),
    seed=st.integers(0, 2**32),
)
def test_a_schedule_is_in_order_and_repeatable(rate, duration, share, records, seed):
    arrivals = schedule(rate, duration, share, records, seed)
    assert schedule(rate, duration, share, records, seed) == arrivals
    times = [arrival.at_s for arrival in arrivals]
    assert times == sorted(times)
    assert all(0 <= at <= duration for at in times)
    assert {arrival.record for arrival in arrivals} <= set(range(records))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_arrivals_are_a_poisson_process_of_the_rate(share):
    arrivals = schedule(100, 100, share, 10, seed=3)
    assert len(arrivals) == pytest.approx(10_000, abs=5 * 100)
    gaps = np.diff([arrival.at_s for arrival in arrivals])
    # Of exponential gaps mean and standard deviation are equal; of regular ones the latter is 0.
    assert np.mean(gaps) == pytest.approx(0.01, rel=0.06)
    assert np.std(gaps) == pytest.approx(0.01, rel=0.06)
    decodes = sum(arrival.operation == "decode" for arrival in arrivals)
    assert decodes == pytest.approx(share * len(arrivals), abs=5 * math.sqrt(len(arrivals)) * (0 < share < 1))


def test_other_seeds_give_other_schedules():
    assert schedule(10, 5, 0.5, 9, seed=1) != schedule(10, 5, 0.5, 9, seed=2)


def outcome(due, done, status=200, operation="encode", unequal=False, sent=None):
    return Outcome(operation, due, due if sent is None else sent, done, status, unequal)


def test_a_step_in_numbers():
    outcomes = [
        *[outcome(i / 10, i / 10 + 0.010) for i in range(90)],
        *[outcome(9 + i / 10, 9 + i / 10 + 0.050, operation="decode", sent=9.001 + i / 10) for i in range(8)],
        outcome(9.9, 9.95, status=503),
        outcome(9.9, 9.95, status=0),
    ]
    step = summary(10, 10.0, outcomes)
    assert (step["requests"], step["offered_rps"], step["achieved_rps"]) == (100, 10.0, 9.8)
    assert step["statuses"] == {"0": 1, "200": 98, "503": 1}
    assert (step["rejected_share"], step["error_share"], step["unequal"]) == (0.01, 0.02, 0)
    assert step["encode"] == {"count": 90, "p50": 10.0, "p95": 10.0, "p99": 10.0, "max": 10.0}
    assert (step["decode"]["count"], step["decode"]["p95"]) == (8, 50.0)
    assert step["send_lag_ms"]["max"] == 1.0
    assert not sustained(step)


def test_latency_counts_from_when_a_request_was_due():
    """A client that sends late, because it or the service was busy, must not hide it."""
    step = summary(1, 1.0, [outcome(0.1, 0.9, sent=0.8)])
    assert (step["encode"]["p50"], step["send_lag_ms"]["p50"]) == (800.0, 700.0)


def test_what_piles_up_counts_against_the_rate():
    on_time = [outcome(i / 10, i / 10 + 0.2) for i in range(100)]
    late = [outcome(i / 10, i / 5) for i in range(100)]
    assert sustained(summary(10, 10.0, on_time))
    step = summary(10, 10.0, late)
    assert step["achieved_rps"] == pytest.approx(100 / 19.8, abs=1e-3)
    assert not sustained(step)


@pytest.mark.parametrize(("failed", "kept_up"), [(0, True), (10, True), (11, False)])
def test_one_percent_may_fail(failed, kept_up):
    outcomes = [outcome(i / 100, i / 100 + 0.001, status=429 if i < failed else 200) for i in range(1000)]
    assert sustained(summary(100, 10.0, outcomes)) == kept_up


def test_nothing_was_sent():
    step = summary(0.1, 1.0, [])
    assert (step["encode"], step["requests"], step["achieved_rps"]) == ({"count": 0}, 0, 0.0)


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_percentiles_are_in_order(seconds):
    found = percentiles_ms(seconds)
    assert found["p50"] <= found["p95"] <= found["p99"] <= found["max"] == round(max(seconds) * 1e3, 2)


def service_of(capacity, tried):
    """A step's summary, of a service that answers up to `capacity` requests a second."""

    def run(phase, rate):
        tried.append((phase, rate))
        return {"offered_rps": rate, "achieved_rps": min(rate, capacity), "error_share": 0.0, "statuses": {}}

    return run


@settings(deadline=None, derandomize=True, database=None)
@given(capacity=st.floats(12, 3000), factor=st.floats(1.1, 2), refinements=st.integers(0, 4))
def test_the_search_ends_near_the_capacity(capacity, factor, refinements):
    tried = []
    report = search(SearchPlan(10, factor, 10_000, refinements), service_of(capacity, tried))
    rate, highest = report["saturation_rps"], capacity / 0.95
    assert report["saturated"]
    assert rate <= highest + 1e-3
    assert highest <= rate * factor ** (1 / 2**refinements) + 1e-2
    phases = [phase for phase, _ in tried]
    assert phases[-2:] == ["half", "beyond"]
    assert phases.count("between") == refinements
    assert tried[-2][1] == pytest.approx(rate / 2, rel=1e-3)
    assert tried[-1][1] == pytest.approx(rate * 2, rel=1e-3)
    assert [step["phase"] for step in report["steps"]] == phases
    assert (report["half"], report["beyond"]) == (report["steps"][-2], report["steps"][-1])


def test_a_service_that_is_never_saturated():
    tried = []
    report = search(SearchPlan(10, 2, 80, 3), service_of(10**6, tried))
    assert (report["saturated"], report["saturation_rps"]) == (False, 80)
    assert [rate for _, rate in tried] == [10, 20, 40, 80, 40, 160]


def test_a_service_that_cannot_do_the_first_rate():
    with pytest.raises(NotSustained, match=r"10 requests a second: 5 of 10 a second.*--start-rps"):
        search(SearchPlan(10, 2, 80, 3), service_of(5, []))
