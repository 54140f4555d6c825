"""What differs between a record and what it was decoded to."""

import math

import pytest

from nbmf.vectors.compare import cosines

VECTOR = [math.sin(n) for n in range(100)]
NEAR = [x + 0.001 * math.cos(n) for n, x in enumerate(VECTOR)]


def test_cosines_of_vectors():
    given = {"a": VECTOR, "b": [{"c": VECTOR, "d": "x"}], "e": VECTOR}
    found = cosines(given, {"a": NEAR, "b": [{"c": [2 * x for x in VECTOR], "d": "x"}], "e": VECTOR})
    assert sorted(found) == pytest.approx([0.999999, 1.0], abs=1e-6)
    assert cosines(given, given) == []
    assert cosines([1e300 * x for x in VECTOR], [1e-300 * x for x in VECTOR]) == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("given", "decoded"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": True}),
        ({"a": 0.0}, {"a": -0.0}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": VECTOR}, {"a": NEAR, "b": 1}),
        ([VECTOR[:30]], [NEAR[:30]]),
        ([VECTOR], [NEAR[:-1]]),
        ([[1, *VECTOR]], [[1, *NEAR]]),
        ([VECTOR], [[0.0] * 100]),
        ([VECTOR], [[*NEAR[:-1], math.inf]]),
        ("text", "texts"),
    ],
)
def test_anything_else_differs(given, decoded):
    assert cosines(given, decoded) is None
