"""Batches within their bounds, in order; one item's fault is no other's."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmf.batches import attempt_all, bounded


@given(st.lists(st.integers(0, 30)), st.integers(1, 5) | st.none(), st.integers(0, 40))
def test_batches_are_as_large_as_they_may_be(sizes, max_items, max_bytes):
    batches = list(bounded(sizes, int, max_items, max_bytes))
    assert [size for batch in batches for size in batch] == sizes
    for batch in batches:
        assert batch
        assert len(batch) == 1 or sum(batch) <= max_bytes
        assert max_items is None or len(batch) <= max_items
    for batch, after in pairwise(batches):
        assert len(batch) == max_items or sum(batch) + after[0] > max_bytes


def test_batches_are_made_as_they_are_asked_for():
    endless = iter(int, 1)
    assert next(bounded(endless, int, 3, 10)) == [0, 0, 0]


def halves(calls):
    def work(items):
        calls.append(items)
        return [10 // item for item in items]

    return work


def test_a_batch_without_a_fault_is_one_call():
    calls = []
    assert attempt_all(halves(calls), [1, 2, 5], lambda *_: pytest.fail("none failed")) == [10, 5, 2]
    assert attempt_all(halves(calls), [], lambda *_: pytest.fail("none failed")) == []
    assert calls == [[1, 2, 5]]


def test_a_fault_is_one_items_only():
    calls = []
    results = attempt_all(halves(calls), [1, 0, 5], lambda item, error: (item, type(error)))
    assert results == [10, (0, ZeroDivisionError), 2]
    assert calls == [[1, 0, 5], [1], [0], [5]]


def test_an_error_that_is_no_items_is_raised_at_once():
    calls = []
    with pytest.raises(ZeroDivisionError):
        attempt_all(halves(calls), [1, 0], lambda *_: pytest.fail("it is no item's"), fatal=(ArithmeticError,))
    assert calls == [[1, 0]]


def test_what_failed_raises_is_raised():
    def failed(_item, error):
        raise error

    with pytest.raises(ZeroDivisionError):
        attempt_all(halves([]), [1, 0], failed)
