"""Repeats found, cut out and put back."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmf.coders import ZstdCoder
from nbmf.coders.windows import repeats
from nbmf.coders.windows.repeats import Repeat
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind


def back(found, rest, size):
    """As a reader does it."""
    if not found:
        return repeats.restored(rest, [])
    told = repeats.table(found)
    assert repeats.read_table(told, len(found), len(rest), size) == found
    return repeats.restored(rest, found)


pieces = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4).flatmap(
    lambda words: st.lists(st.sampled_from(words), max_size=30).map(b"".join)
)


@settings(max_examples=200)
@given(pieces, st.sampled_from([32, 50, 128]))
def test_round_trip(data, least):
    found = repeats.find(data, least)
    assert all(repeat.length >= least for repeat in found)
    rest = repeats.kept(data, found)
    assert len(rest) + sum(repeat.length for repeat in found) == len(data)
    assert back(found, rest, len(data)) == data


@pytest.mark.parametrize("gap", [0, 1000, 3_000_000])
def test_what_stood_before_is_found_at_any_distance(gap):
    rng = random.Random(7)
    stretch = rng.randbytes(500)
    data = stretch + rng.randbytes(gap) + stretch + b"end"
    (found,) = repeats.find(data, 128)
    assert found == Repeat(500 + gap, 500, 500 + gap)
    assert back([found], repeats.kept(data, [found]), len(data)) == data


def test_a_repeat_of_itself():
    data = random.Random(8).randbytes(40) * 5000
    found = repeats.find(data, 32)
    assert len(repeats.kept(data, found)) == 40
    assert back(found, data[:40], len(data)) == data


def told(*rows):
    return repeats.table([Repeat(*row) for row in rows])


@pytest.mark.parametrize(
    ("table", "count", "rest"),
    [
        (told((40, 60, 41)), 1, 40),  # from before the beginning
        (told((40, 60, 0)), 1, 40),
        (told((41, 60, 40)), 1, 40),  # more kept than there is
        (told((40, 59, 40)), 1, 40),  # another length
        (told((40, 31, 40), (0, 29, 40)), 2, 40),  # too short
        (told((40, 60, 40)), 4, 40),  # more than so few bytes can hold
        (told((40, 60, 40)), 2, 40),
        (b"", 1, 40),
        (b"\x01\x00\x00", 1, 40),
        (told((2**32 - 1, 2**32 - 1, 1), (0, 102, 1)), 2, 40),
    ],
)
def test_tables_that_are_none(table, count, rest):
    with pytest.raises(CorruptBlob):
        repeats.read_table(table, count, rest, 100)


def test_columns_by_hand():
    columns = np.frombuffer(ZstdCoder().decode(Kind.BYTES, told((1, 258, 1), (3, 32, 70_000)), 24), np.uint8)
    low, high = columns.reshape(3, 4, 2)[:, 0], columns.reshape(3, 4, 2)[:, 1]
    assert low.tolist() == [[1, 3], [2, 32], [1, 70_000 & 255]]
    assert high.tolist() == [[0, 0], [1, 0], [0, 70_000 >> 8 & 255]]
