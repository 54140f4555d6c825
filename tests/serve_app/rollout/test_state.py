"""States and gates of a rollout: no clock, no file, no service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serve_app.observe.measurements import Compared, Counts, Histogram, Measurements
from serve_app.rollout.gates import gates
from serve_app.rollout.state import Rollout, RolloutError, decide
from serve_app.rollout_policy import RolloutPolicy

POLICY = RolloutPolicy(dwell_s=60, min_samples=100)


def rollout(**fields):
    given_fields = {"id": "r", "candidate": "c" * 64, "stable": "a" * 64, "policy": POLICY, "since": 1000, "reason": ""}
    return Rollout(**(given_fields | {"ready": True, "measured": good()} | fields))


def counts(**fields):
    encode_ms = Histogram()
    encode_ms.count(fields.pop("ms", 1.0), fields.get("records", 100))
    usual = {"records": 100, "payload_bytes": 1000, "blob_bytes": 200, "verified": 100}
    return Counts(**({"encode_ms": encode_ms} | usual | fields))


def good(stable=None, candidate=None, **compared):
    both = {"records": 100, "payload_bytes": 1000, "stable_bytes": 200, "candidate_bytes": 200} | compared
    return Measurements(
        stable=counts(**(stable or {})), candidate=counts(**(candidate or {})), compared=Compared(**both)
    )


def test_the_whole_way():
    now, states = rollout(), []
    while now.is_active:
        now = decide(now.model_copy(update={"measured": good(), "ready": True}), now.since + 60)
        states.append((now.state, now.percent, now.round))
    assert states == [("canary", 10, 1), ("canary", 50, 2), ("canary", 100, 3), ("stable", 100, 4)]


@pytest.mark.parametrize(
    ("fields", "now"),
    [
        ({}, 1059.9),
        ({"ready": False}, 2000),
        ({"paused": True}, 2000),
        ({"measured": Measurements()}, 2000),
        ({"measured": good(records=99)}, 2000),
        ({"measured": good(candidate={"verified": 99})}, 2000),
        ({"measured": good(candidate={"records": 99})}, 2000),
        ({"measured": good(stable={"records": 99})}, 2000),
        ({"measured": good(candidate={"encode_ms": Histogram(buckets={0: 99})})}, 2000),
    ],
    ids=["dwell", "not ready", "paused", "nothing", "compared", "verified", "candidate", "stable", "cold"],
)
def test_it_stays_while_something_is_missing(fields, now):
    assert decide(rollout(**fields), now) is None
    assert decide(rollout(), 1060).state == "canary"


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (Measurements(candidate=Counts(mismatches=1, verified=1)), "decoding: 1 of 1"),
        (Measurements(load_failure="damaged"), "loading: damaged"),
        (Measurements(candidate=Counts(records=2, faults=2)), "faults: 2 of 2"),
        (good(candidate={"faults": 2}), "faults: 2 of 100"),
        (good(candidate_bytes=205), "ratio: 0.976"),
        (good(candidate={"ms": 50.0}), "p95: 5"),
    ],
)
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_a_breach_rolls_back_at_once(measured, reason, paused, ready):
    after = decide(rollout(measured=measured, paused=paused, ready=ready), 1000)
    assert (after.state, after.percent, after.round, after.since) == ("rolled_back", 0, 1, 1000)
    assert after.reason.startswith(reason)


@pytest.mark.parametrize(
    "measured",
    [
        good(candidate={"faults": 1}),
        good(candidate={"faults": 5}, stable={"faults": 5}),
        good(candidate_bytes=204),
        good(candidate={"ms": 19.0}),
        good(candidate={"ms": 50.0}, stable={"ms": 30.0}),
    ],
    ids=["rate", "stable fails too", "ratio", "within the budget", "stable is slow too"],
)
def test_what_is_within_the_limits_passes(measured):
    assert decide(rollout(measured=measured), 1060).state == "canary"


def test_a_share_may_begin_anywhere():
    policy = RolloutPolicy(steps_percent=(0.5, 100))
    first = rollout(policy=policy).advanced(5, "by hand")
    assert (first.percent, first.reason, first.measured) == (0.5, "by hand", Measurements())
    assert first.advanced(6, "").percent == 100
    assert first.advanced(6, "").advanced(7, "").state == "stable"


@pytest.mark.parametrize("over", [rollout().rolled_back(1, ""), rollout(percent=100).advanced(1, "")])
@pytest.mark.parametrize(
    "change", [lambda r: r.advanced(2, ""), lambda r: r.rolled_back(2, ""), lambda r: r.with_pause(True)]
)
def test_what_is_over_stays_over(over, change):
    with pytest.raises(RolloutError, match="is over"):
        change(over)


def test_pausing():
    paused = rollout().with_pause(True)
    assert paused.paused
    assert not paused.advanced(1, "by hand").paused
    with pytest.raises(RolloutError, match="already paused"):
        paused.with_pause(True)
    with pytest.raises(RolloutError, match="not paused"):
        rollout().with_pause(False)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps_percent": ()},
        {"steps_percent": (0, 100)},
        {"steps_percent": (10, 50)},
        {"steps_percent": (50, 10, 100)},
        {"steps_percent": (10, 10, 100)},
        {"steps_percent": (10, 100, 101)},
        {"shadow_sample_percent": 0},
        {"dwell_s": -1},
        {"min_samples": 0},
        {"unknown": 1},
    ],
)
def test_policies_that_make_no_sense(fields):
    with pytest.raises(ValidationError):
        RolloutPolicy(**fields)


numbers = st.integers(0, 500)
any_counts = st.builds(
    Counts,
    records=numbers,
    faults=numbers,
    verified=numbers,
    mismatches=st.sampled_from([0, 0, 1]),
    encode_ms=st.builds(Histogram, buckets=st.dictionaries(st.integers(-50, 80), st.integers(1, 500))),
)
any_measured = st.builds(
    Measurements,
    stable=any_counts,
    candidate=any_counts,
    compared=st.builds(Compared, records=numbers, stable_bytes=numbers, candidate_bytes=numbers),
)


@given(any_measured, st.booleans(), st.booleans(), st.floats(0, 200), st.sampled_from([0, 10, 50, 100]))
def test_it_goes_on_only_through_every_gate(measured, paused, ready, waited, percent):
    before = rollout(measured=measured, paused=paused, ready=ready, percent=percent)
    after = decide(before, 1000 + waited)
    verdicts = [gate.passed for gate in gates(POLICY, measured)]
    if False in verdicts:
        assert after.state == "rolled_back"
    elif all(verdicts) and ready and not paused and waited >= 60:
        assert after.percent > percent or (percent, after.state) == (100, "stable")
    else:
        assert after is None


@given(any_measured, any_measured)
def test_measurements_add_up_in_any_order(one, other):
    first, second = one.model_copy(deep=True), other.model_copy(deep=True)
    first.add(other)
    second.add(one)
    assert first == second
    assert first.candidate.records == one.candidate.records + other.candidate.records
    assert Measurements.model_validate_json(first.model_dump_json()) == first


@given(st.lists(st.floats(0.001, 10_000), min_size=1), st.floats(0.01, 1))
def test_quantiles_are_within_a_bucket(values, share):
    histogram = Histogram()
    for value in values:
        histogram.count(value)
    exact = next(v for i, v in enumerate(sorted(values), 1) if i >= share * len(values))
    assert exact * 0.999 <= histogram.quantile_ms(share) <= exact * 1.101
