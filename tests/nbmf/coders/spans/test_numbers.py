"""Lists of floats: each form writes back the text that it was read from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmf.coders.spans import numbers
from nbmf.coders.spans.find import MIN_NUMBERS, cut
from nbmf.coders.spans.numbers import Form
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind


def _texts(values):
    return [repr(value).encode() for value in values]


def _forms(texts):
    forms = {}
    for form, scale, data in numbers.read(list(map(float, texts)), [text.decode() for text in texts]):
        assert numbers.write(form, scale, data, b", ", 1 << 20) == b", ".join(texts)
        forms[form] = scale, data
    return forms


FINITE = st.floats(allow_nan=False, allow_infinity=False)
SINGLES = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_binary64(values):
    assert _forms(_texts(values))[Form.BINARY64] == (0, np.array(values, "<f8").tobytes())


@given(st.lists(SINGLES, min_size=1, max_size=20))
def test_binary32(values):
    assert _forms(_texts(values))[Form.BINARY32] == (0, np.array(values, "<f4").tobytes())


@settings(max_examples=300)
@given(st.lists(SINGLES.filter(lambda x: abs(x) > 1.2e-38 or x == 0), min_size=1, max_size=20))
def test_the_shortest_text_of_a_binary32(values):
    """As numpy writes it, but for the layout, which is that of Python."""
    singles = np.array(values, "<f4")
    shortest = [float(np.format_float_scientific(single, unique=True)) for single in singles]
    forms = _forms(_texts(shortest))
    held = forms.get(Form.BINARY32) or forms[Form.SHORT_BINARY32]
    assert held == (0, singles.tobytes())


@given(st.integers(1, 9), st.lists(st.integers(-(2**31) + 2, 2**31 - 2), min_size=1, max_size=20))
def test_decimals(scale, scaled):
    values = [number / 10**scale for number in scaled]
    forms = _forms(_texts(values))
    assert Form.DECIMAL in forms
    assert forms[Form.DECIMAL][0] <= scale


def test_decimals_by_hand():
    forms = _forms([b"1.25", b"-0.0", b"-3.5", b"1e-05"])
    assert forms[Form.DECIMAL] == (5, np.array([125_000 * 2, 1, 350_000 * 2 + 1, 2], "<u4").tobytes())


@pytest.mark.parametrize(
    "text", [b"1.50", b"1e400", b"0.10000000000000000000001", b"1.0E5", b"1", b"-0", b"1e5", b"01.5"]
)
def test_what_python_does_not_write_is_not_cut_out(text):
    before, after = (b",".join(b"%d.5" % n for n in range(first, first + MIN_NUMBERS)) for first in (1, 100))
    canonical = b"[" + before + b"," + text + b"," + after + b"]"
    spans = cut(Kind.JSON, canonical).spans
    at = len(before) + 2
    assert spans
    assert not any(span.begin <= at and at + len(text) <= span.end for span in spans)


@pytest.mark.parametrize("form", [Form.BINARY32, Form.SHORT_BINARY32, Form.BINARY64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(form, value):
    data = np.array([0.5, value], {4: "<f4", 8: "<f8"}[form.width]).tobytes()
    with pytest.raises(CorruptBlob, match="a number that is none"):
        numbers.write(form, 0, data, b",", 1000)


def test_all_sorts_of_binary32_bits():
    bits = np.random.default_rng(4).integers(0, 2**32, 40_000, dtype=np.uint32)
    singles = bits.view("<f4")
    singles = singles[np.isfinite(singles)]
    text = numbers.write(Form.SHORT_BINARY32, 0, singles.tobytes(), b",", 1 << 24)
    back = np.array([float(part) for part in text.split(b",")]).astype("<f4")
    assert np.array_equal(back.view("<u4"), singles.view("<u4"))


def test_text_over_the_bound_is_refused():
    data = np.full(100_000, 0.1).tobytes()
    assert len(numbers.write(Form.BINARY64, 0, data, b",", 399_999)) == 399_999
    with pytest.raises(CorruptBlob, match="longer than the payload"):
        numbers.write(Form.BINARY64, 0, data, b",", 399_998)
