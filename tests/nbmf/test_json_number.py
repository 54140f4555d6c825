"""Numbers of JSON text come back as they were written, and are numbers all the same."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import nbmf
from nbmf import JsonNumber, json_text
from nbmf.payload import from_canonical, to_canonical

WRITTEN_OTHERWISE = [
    "1.50",
    "1E5",
    "1e5",
    "1.0e+5",
    "-0",
    "-0.00",
    "0e0",
    "1e400",
    "-1e400",
    "1e-400",
    "0.1234567890123456789012345",
    "0.10000000000000001",
    "100000000000000000000.0",
    "3.14159265358979323846264338327950288",
    "1" * 400 + ".5",
]


@pytest.mark.parametrize("text", WRITTEN_OTHERWISE)
def test_what_python_would_write_otherwise_keeps_its_text(text):
    number = json_text.loads(text)
    assert type(number) is JsonNumber
    assert number.text == str(number) == text
    assert float(number) == float(text)
    assert json_text._parse(text).text == text
    for payload in (number, [number], {"a": [{"b": number}]}):
        kind, canonical = to_canonical(payload)
        assert text in canonical.decode()
        assert to_canonical(from_canonical(kind, canonical)) == (kind, canonical)
        assert to_canonical(nbmf.decode(nbmf.encode(payload))) == (kind, canonical)


@pytest.mark.parametrize("text", ["0", "-1", "1" * 400, "0.1", "-0.0", "1e+16", "1e-07", "5e-324", "123456789.25"])
def test_what_python_writes_needs_no_text(text):
    assert type(json_text.loads(text)) is type(json.loads(text))
    with pytest.raises(ValueError, match="needs no JsonNumber"):
        JsonNumber(text)


@pytest.mark.parametrize(
    "text", ["", "1.", ".5", "+1.0", "01", "1e", "0x10", "NaN", "Infinity", "1_0.0", " 1.50", "1.50\n", "\u0661"]
)
def test_what_is_no_json_number(text):
    with pytest.raises(ValueError, match="is no JSON number"):
        JsonNumber(text)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
@example("-0")
@example("2.2250738585072011e-308")
def test_any_number_comes_back_as_written(text):
    for document in (text, f"[{text}]", f'{{"a":[{text},{{"b":{text}}}]}}'):
        assert json_text.dumps(json_text.loads(document)) == document
        assert json_text.dumps(json_text._parse(document)) == document


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_of_python_is_a_plain_float(value):
    assert type(json_text.loads(repr(value))) is float


def test_it_counts_as_the_float_that_it_is():
    number = JsonNumber("1.50")
    assert isinstance(number, float)
    assert number == 1.5
    assert hash(number) == hash(1.5)
    assert number + 1 == 2.5
    assert f"{number:.1f}" == "1.5"
    assert np.array([number, 2.5]).dtype == np.float64
    assert json.dumps([number]) == "[1.5]"
    assert math.isinf(JsonNumber("1e400"))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_keep_the_text(duplicate):
    number = duplicate(JsonNumber("0.10"))
    assert type(number) is JsonNumber
    assert number.text == "0.10"
