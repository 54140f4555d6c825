"""Ratios of records."""

import zlib

import pytest

from cluster.measure import BASELINES, ratio_statistics


def test_statistics_of_known_ratios():
    raw, coded = [100] * 19 + [1000], [50] * 19 + [100]
    found = ratio_statistics(raw, coded)
    assert found["records"] == 20
    assert (found["raw_bytes"], found["coded_bytes"]) == (2900, 1050)
    assert found["total_ratio"] == pytest.approx(2900 / 1050, abs=1e-4)
    assert found["mean_ratio"] == pytest.approx((19 * 2 + 10) / 20)
    assert (found["p5_ratio"], found["min_ratio"]) == (2.0, 2.0)


def test_the_worst_record_is_the_minimum():
    assert ratio_statistics([10, 10, 10], [5, 20, 2])["min_ratio"] == 0.5


def test_empty_records_count_as_one():
    assert ratio_statistics([0, 4], [3, 2])["mean_ratio"] == 1.5


def test_no_records():
    assert ratio_statistics([], []) == {"records": 0}


def test_baselines_are_what_they_say():
    data = b"the same words again and again " * 20
    assert BASELINES["zlib-9"](data) == len(zlib.compress(data, 9))
    assert 0 < BASELINES["zstd-19"](data) < len(data) // 4
