"""Measurements of the last minutes: a ring of buckets, whatever is reported in whatever order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.observe.measurements import Counts
from serve_app.observe.recent import RecentCounts, RecentMeasurements, RecentReporter


def counts(records=1, payload_bytes=30, blob_bytes=10, ms=4.0, copies=0, faults=0):
    made = Counts(records=records, payload_bytes=payload_bytes, blob_bytes=blob_bytes, faults=faults)
    made.encode_ms.count(ms, records)
    return RecentCounts(encoded=made, copies=copies)


def test_a_series():
    recent = RecentMeasurements(window_s=20, bucket_s=5)
    recent.add("a", {"v1": counts(records=2), "v2": counts(copies=1)}, 101)
    recent.add("b", {"v1": counts(records=3, payload_bytes=90, blob_bytes=20, ms=40, faults=1)}, 104)
    recent.add("a", {"v1": counts(blob_bytes=15)}, 111)
    series = recent.series(118)
    assert (series.bucket_s, series.replicas) == (5, 2)
    assert series.at == [100, 105, 110]
    first, second = series.versions
    assert (first.version, second.version) == ("v1", "v2")
    assert (first.records, first.faults) == ([5, 0, 1], [1, 0, 0])
    assert (first.payload_bytes, first.blob_bytes) == ([120, 0, 30], [30, 0, 15])
    assert first.ratio == [4.0, None, 2.0]
    assert first.p50_ms[0] == pytest.approx(40, rel=0.1)
    assert first.p50_ms[2] == first.p95_ms[2] == pytest.approx(4, rel=0.1)
    assert first.p95_ms[1] is None
    assert (second.records, second.copies, second.ratio) == ([0, 0, 0], [1, 0, 0], [3.0, None, None])


def test_the_present_bucket_is_not_told_before_it_is_over():
    recent = RecentMeasurements(window_s=20, bucket_s=5)
    recent.add("a", {"v": counts()}, 100)
    assert recent.series(104.9).versions == []
    assert recent.series(105).versions[0].records == [0, 0, 1]


def test_what_is_old_is_forgotten():
    recent = RecentMeasurements(window_s=20, bucket_s=5)
    for second in range(0, 1000, 5):
        recent.add("a", {"v": counts()}, second)
    assert recent.series(1000).versions[0].records == [1, 1, 1]
    assert len(recent._buckets) == 4
    later = recent.series(2000)
    assert (later.versions, later.replicas) == ([], 0)


@given(st.lists(st.tuples(st.floats(0, 60), st.sampled_from("ab"), st.integers(1, 9)), max_size=30))
def test_nothing_is_lost_or_counted_twice(reports):
    """Also when a clock is put back: what is reported in the window is in the series once."""
    recent = RecentMeasurements(window_s=300, bucket_s=5)
    for now, version, records in reports:
        recent.add("a", {version: counts(records=records)}, 1000 + now)
    told = {series.version: sum(series.records) for series in recent.series(1100).versions}
    expected = {}
    for _, version, records in reports:
        expected[version] = expected.get(version, 0) + records
    assert told == expected


def test_a_reporter_sends_each_count_once():
    sent = []

    async def send(replica, counted):
        sent.append((replica, counted))

    reporter = RecentReporter("me", send)
    reporter.count("v", counts(records=2).encoded)
    reporter.count("v", counts(records=3).encoded, copy=True)
    asyncio.run(reporter.report())
    asyncio.run(reporter.report())
    (replica, counted), (_, nothing) = sent
    assert (replica, nothing) == ("me", {})
    assert (counted["v"].encoded.records, counted["v"].copies) == (5, 3)


def test_a_report_that_fails_ends_nothing(monkeypatch):
    monkeypatch.setattr("serve_app.observe.recent.REPORT_S", 0)
    attempts = []

    async def until_sent():
        enough = asyncio.Event()

        async def send(_replica, counted):
            attempts.append(counted)
            if len(attempts) == 1:
                raise ConnectionError
            if len(attempts) == 3:
                enough.set()

        task = asyncio.get_running_loop().create_task(RecentReporter("me", send).run())
        await enough.wait()
        task.cancel()

    asyncio.run(until_sent())
    assert len(attempts) == 3
