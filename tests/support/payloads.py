"""Payloads of every kind, as Hypothesis makes them, and their exact comparison."""

import math

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from nbmf import JsonNumber
from nbmf.arrays import TYPES, is_array, to_bytes


def same(a, b):
    """Whether two payloads are equal type for type: 1 is not 1.0 or True, 0.0 is not -0.0, NaN is NaN, order counts.

    Iterative, so that depth is no limit.
    """
    stack = [(a, b)]
    while stack:
        x, y = stack.pop()
        if type(x) is not type(y):
            return False
        if type(x) is dict:
            if list(x) != list(y):
                return False
            stack.extend(zip(x.values(), y.values(), strict=True))
        elif type(x) is list:
            if len(x) != len(y):
                return False
            stack.extend(zip(x, y, strict=True))
        elif type(x) is float:
            if math.isnan(x) != math.isnan(y):
                return False
            if not math.isnan(x) and (x != y or math.copysign(1, x) != math.copysign(1, y)):
                return False
        elif type(x) is JsonNumber:
            if x.text != y.text:
                return False
        elif type(x) is np.ndarray:
            if x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes():
                return False
        elif is_array(x):
            if to_bytes(x) != to_bytes(y):
                return False
        elif x != y:
            return False
    return True


_CHARACTERS = st.one_of(
    st.characters(),  # hypothesis leaves out surrogates unless asked
    st.characters(categories=["Cs"]),
    st.sampled_from('\x00\x1f\x7f"\\/\u2028\u2029\ufeff\ufffe\uffff\U0010ffff'),
)
texts = st.text(_CHARACTERS, max_size=200)
keys = st.text(_CHARACTERS, max_size=8)
integers = st.one_of(
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.sampled_from([0, 2**53, 2**53 + 1, 2**63, -(2**63) - 1, 10**400]),
)
floats = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 1e16, 0.1, float("nan")])
)
json_numbers = st.sampled_from(["1.50", "1E5", "-0", "1e400", "-1e-400", "0.1234567890123456789012345", "0.0e-0"])
"""Texts of JsonNumber."""

scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)


def _json(leaves):
    return st.recursive(leaves, lambda v: st.lists(v, max_size=6) | st.dictionaries(keys, v, max_size=6), max_leaves=30)


json_values = _json(scalars)
values_of_text = _json(scalars | json_numbers.map(JsonNumber))
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", ""]), "content": texts | st.none()},
        optional={"tool_calls": json_values, "name": texts},
    ),
    min_size=1,
    max_size=6,
)


@st.composite
def arrays(draw):
    """Arrays of any type and bits: NaN with payloads, signed zeros, subnormals; any byte order and layout in memory."""
    name = draw(st.sampled_from(TYPES))
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name).newbyteorder(draw(st.sampled_from("<>")))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    size = math.prod(shape) * dtype.itemsize
    array = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=dtype).reshape(shape)
    return draw(st.sampled_from([array, array.T, np.asfortranarray(array), array[::-1] if shape else array]))


payloads = st.one_of(texts, messages, values_of_text, st.binary(max_size=300), arrays())
