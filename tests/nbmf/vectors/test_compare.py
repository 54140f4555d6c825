"""What differs between a record and what it was decoded to."""

import math

import ml_dtypes
import numpy as np
import pytest

import nbmf
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind, to_canonical
from nbmf.vectors.compare import cosines, cosines_of, is_near

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


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ml_dtypes.bfloat16])
def test_cosines_of_arrays(dtype):
    given = np.array(VECTOR, dtype=dtype)
    kind, canonical = to_canonical(given)
    changed = to_canonical(nbmf.decode(nbmf.encode(given, "semantic")))[1]
    (found,) = cosines_of(kind, canonical, changed)
    a, b = given.astype(float), nbmf.decode(nbmf.encode(given, "semantic")).astype(float)
    assert found == pytest.approx(float(a @ b / np.sqrt((a @ a) * (b @ b))))
    assert found < 1
    assert is_near(kind, canonical, changed, 0.98)
    assert not is_near(kind, canonical, changed, 0.9999)


def test_arrays_that_are_no_vectors_differ():
    vector, near = np.array(VECTOR), np.array(NEAR)
    for given, decoded in (
        (vector.reshape(10, 10), near.reshape(10, 10)),
        (vector, near[:-1]),
        (vector, near.astype(np.float32)),
        (vector, near.astype(">f8")),
        (vector, np.full(100, np.nan)),
        (np.arange(100), np.arange(100)[::-1]),
    ):
        assert cosines_of(Kind.ARRAY, to_canonical(given)[1], to_canonical(decoded)[1]) is None
        assert cosines_of(Kind.ARRAY, to_canonical(given)[1], to_canonical(given)[1]) == []


def test_canonical_bytes():
    given, near = ({"a": vector, "b": "x"} for vector in (VECTOR, NEAR))
    kind, canonical = to_canonical(given)
    assert is_near(kind, canonical, to_canonical(near)[1], 0.98)
    assert not is_near(kind, canonical, to_canonical(near | {"b": "y"})[1], 0.98)
    assert not is_near(kind, canonical, to_canonical({"a": [-x for x in VECTOR], "b": "x"})[1], 0.98)
    assert not is_near(Kind.TEXT, b"a", b"b", 0.98)
    assert is_near(Kind.TEXT, b"a", b"a", 0.98)
    with pytest.raises(CorruptBlob):
        is_near(kind, canonical, b"{", 0.98)
