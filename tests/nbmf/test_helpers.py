"""The comparison that all other tests rest on tells apart what it must."""

import numpy as np
import pytest
from helpers import nested, same

DISTINCT = [
    0,
    0.0,
    -0.0,
    False,
    None,
    "",
    b"",
    [],
    {},
    1,
    1.0,
    True,
    "1",
    b"1",
    float("nan"),
    float("inf"),
    [1],
    [1.0],
    [[1]],
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {"a": 1},
    nested(5),
    nested(6),
    nested(5, "dict"),
    np.zeros(2, "<f4"),
    -np.zeros(2, "<f4"),
    np.zeros(2, "<f8"),
    np.zeros((1, 2), "<f4"),
    np.array([np.nan, 0], "<f4"),
    np.array([0x7FC00001, 0], "<u4").view("<f4"),
]


@pytest.mark.parametrize("value", DISTINCT, ids=repr)
def test_each_is_the_same_as_itself_only(value):
    assert [i for i, other in enumerate(DISTINCT) if same(value, other)] == [
        i for i, other in enumerate(DISTINCT) if other is value
    ]


def test_same_at_any_depth():
    assert same(nested(20_000, "mixed"), nested(20_000, "mixed"))
    assert not same(nested(20_000), nested(20_001))
