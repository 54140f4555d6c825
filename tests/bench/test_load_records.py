"""The records that `nbmf bench load` sends without `--data`."""

import json

import numpy as np
import pytest

from bench.load.records import MAX_BYTES, MEDIAN_BYTES, MIN_BYTES, mixed_records
from nbmf.payload import to_canonical


@pytest.fixture(scope="module")
def records():
    return mixed_records(300)


def test_a_third_of_each_kind_and_all_different(records):
    assert [sum(isinstance(record, kind) for record in records) for kind in (str, list, dict)] == [100] * 3
    assert len({json.dumps(record) for record in records}) == 300


@pytest.mark.slow
def test_the_same_every_time(records):
    assert mixed_records(300) == records


def test_sizes_are_spread_as_said(records):
    sizes = np.array([len(to_canonical(record)[1]) for record in records])
    assert sizes.min() >= MIN_BYTES
    assert MAX_BYTES * 0.8 < sizes.max() <= MAX_BYTES * 1.01  # joining adds a little
    assert np.median(sizes) == pytest.approx(MEDIAN_BYTES, rel=0.15)
    assert np.percentile(sizes, 95) == pytest.approx(3600, rel=0.15)


def test_joined_conversations_have_one_system_turn(records):
    for record in records:
        if isinstance(record, list):
            assert [turn["role"] for turn in record].count("system") == 1


@pytest.mark.slow
def test_more_than_there_are():
    assert len(mixed_records(20_000)) == 20_000
