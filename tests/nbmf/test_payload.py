"""Payloads and their canonical bytes."""

import collections
import enum
import json

import numpy as np
import pytest
from helpers import arrays, json_values, messages, nested, payloads, same, texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbmf import json_text, payload
from nbmf.errors import BlobError, UnsupportedPayload
from nbmf.json_path import path_text
from nbmf.payload import Kind


@settings(max_examples=600)
@given(payloads)
@example(float("nan"))
@example("\ud83d\ude00")  # the two halves of one character, as two
@example(["\ude00\ud83d", {"\udfff": "\ud800"}])
@example("\ufeff")
@example({"": {"": []}})
def test_canonical_bytes_give_the_payload_back(value):
    kind, canonical = payload.to_canonical(value)
    assert same(payload.from_canonical(kind, canonical), value)


@given(payloads)
def test_canonical_bytes_are_canonical(value):
    kind, canonical = payload.to_canonical(value)
    again = payload.from_canonical(kind, canonical)
    assert payload.to_canonical(again) == (kind, canonical)


@given(texts)
def test_text_is_utf8_with_surrogates(value):
    assert payload.to_canonical(value) == (Kind.TEXT, value.encode("utf-8", "surrogatepass"))


@given(json_values)
def test_json_is_what_the_standard_library_writes(value):
    kind, canonical = payload.to_canonical([value])
    text = json.dumps([value], ensure_ascii=False, separators=(",", ":"))
    assert canonical == text.encode("utf-8", "surrogatepass")
    assert kind in (Kind.JSON, Kind.MESSAGES)


@given(messages)
def test_message_lists_are_a_kind_of_their_own(value):
    assert payload.to_canonical(value)[0] is Kind.MESSAGES


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"role": "user", "content": "x"},
        [{"role": "user"}],
        [{"content": "x"}],
        [{"role": None, "content": "x"}],
        [{"role": "user", "content": "x"}, "y"],
        [[{"role": "user", "content": "x"}]],
    ],
)
def test_what_only_resembles_messages_is_json(value):
    assert payload.to_canonical(value)[0] is Kind.JSON


@given(arrays())
def test_arrays(value):
    kind, canonical = payload.to_canonical(value)
    back = payload.from_canonical(kind, canonical)
    assert kind is Kind.ARRAY
    assert same(back, value)
    assert back.flags.writeable
    assert back.flags.owndata


@pytest.mark.parametrize("levels", [1, 2, 999, 1_000, 1_001, 5_000, payload.MAX_DEPTH])
@pytest.mark.parametrize("shape", ["list", "dict", "mixed"])
def test_deep_nesting(levels, shape):
    value = nested(levels, shape)
    kind, canonical = payload.to_canonical(value)
    assert same(payload.from_canonical(kind, canonical), value)


@pytest.mark.parametrize("leaf", [1, "x", None, [], {}])
def test_the_deepest_container_may_hold_anything_flat(leaf):
    value = leaf
    for _ in range(payload.MAX_DEPTH - (leaf in ([], {}))):
        value = [value]
    kind, canonical = payload.to_canonical(value)
    assert same(payload.from_canonical(kind, canonical), value)


def test_one_level_too_many_is_refused_both_ways():
    value = nested(payload.MAX_DEPTH + 1)
    with pytest.raises(UnsupportedPayload, match="nested deeper than 10000"):
        payload.to_canonical(value)
    text = b"[" * (payload.MAX_DEPTH + 1) + b"]" * (payload.MAX_DEPTH + 1)
    with pytest.raises(BlobError, match="nested deeper than 10000"):
        payload.from_canonical(Kind.JSON, text)


def _list_in_itself():
    value = []
    value.append(value)
    return value


def _dict_in_itself():
    value = {"a": [1, {}]}
    value["a"][1]["back"] = value
    return value


@pytest.mark.parametrize("make", [_list_in_itself, _dict_in_itself])
def test_a_structure_that_contains_itself(make):
    with pytest.raises(UnsupportedPayload, match="contains itself") as raised:
        payload.to_canonical(make())
    assert raised.value.path.endswith("…")


@pytest.mark.parametrize("exponent", [400, 4_299, 4_300, 4_301, 20_000, 99_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_integers_of_any_length(exponent, sign):
    value = {"n": sign * (10**exponent + 7), "after": [1, 2.5]}
    kind, canonical = payload.to_canonical(value)
    assert same(payload.from_canonical(kind, canonical), value)
    alone = sign * (10**exponent + 7)
    assert same(payload.from_canonical(*payload.to_canonical(alone)), alone)


def test_integers_too_long():
    limit = 10**json_text.MAX_INTEGER_DIGITS
    for fits in (limit - 1, 1 - limit):
        assert payload.from_canonical(*payload.to_canonical(fits)) == fits
    for value, path in ((limit, "$"), ([0, [-limit]], "$[1][0]"), ({"a b": limit}, '$["a b"]')):
        with pytest.raises(UnsupportedPayload, match="more than 100000 digits") as raised:
            payload.to_canonical(value)
        assert raised.value.path == path


class _Colour(enum.StrEnum):
    RED = "red"


class _Text(str):
    __slots__ = ()


class _Array(np.ndarray):
    pass


class _Count(int):
    pass


UNSUPPORTED = [
    ((1, 2), "$", "list(...)"),
    ({"a": [0, 1, 2, (3,)]}, "$.a[3]", "list(...)"),
    ({"a": {"b c": {"é": {1}}}}, '$.a["b c"].é', "set"),
    ({"a": {1: 2}}, "$.a", "a dict key is int (1)"),
    ([{None: 1}], "$[0]", "a dict key is NoneType (None)"),
    ({_Text("k"): 1}, "$", "a dict key is"),
    ({"blob": b"x"}, "$.blob", "base64 or hex"),
    ([bytearray(b"x")], "$[0]", "base64 or hex"),
    (bytearray(b"x"), "$", "base64 or hex"),
    (memoryview(b"x"), "$", "base64 or hex"),
    ([_Text("x")], "$[0]", "str(...)"),
    (_Colour.RED, "$", "str(...)"),
    ([_Count(3)], "$[0]", "int(...)"),
    (collections.OrderedDict(a=1), "$", "dict(...)"),
    ([np.float64(1)], "$[0]", "float(...)"),
    (np.float32(1), "$", "numpy.float32"),
    ([np.int64(1)], "$[0]", "numpy.int64"),
    ({"v": np.zeros(3, "<f4")}, "$.v", ".tolist()"),
    (1j, "$", "complex"),
    ([object()], "$[0]", "object"),
    (np.zeros(3, "<c8"), "$", "dtype complex64"),
    (np.zeros(3, "M8[ns]"), "$", "dtype datetime64"),
    (np.zeros(3, "i4,f4"), "$", "dtype"),
    (np.array(["x"], object), "$", "dtype object"),
    (np.float32(1.5), "$", "cannot represent numpy.float32 (convert with .item())"),
    ([np.int64(1)], "$[0]", "cannot represent numpy.int64 (convert with .item())"),
    (np.zeros((1,) * 9), "$", "9 dimensions"),
    (np.zeros(3).view(_Array), "$", "_Array"),
    (np.empty((0, 2**50), "<f2"), "$", "along a dimension"),
    (np.empty((0, 2**57), "<f2"), "$", "along a dimension"),
]


@pytest.mark.parametrize(("value", "path", "words"), UNSUPPORTED)
def test_unsupported_payloads_name_their_path(value, path, words):
    with pytest.raises(UnsupportedPayload) as raised:
        payload.to_canonical(value)
    assert isinstance(raised.value, TypeError)
    assert raised.value.path == path
    assert str(raised.value).startswith(path + ": ")
    assert words in str(raised.value)


@settings(max_examples=600)
@given(
    st.sampled_from(Kind),
    st.one_of(
        st.binary(max_size=60),
        st.text('[]{}":,0123456789.eE+-truefalsnNaIity \\u', max_size=40).map(str.encode),
        # array headers: dtype, dimensions, sizes of any width
        st.lists(st.sampled_from([0x10, 0x11, 0x22, 0x81, 0x21, 0, 1, 2, 255, 127, 128]), min_size=1, max_size=40).map(
            bytes
        ),
    ),
)
@example(Kind.ARRAY, b"")
@example(Kind.ARRAY, bytes([0x81, 0]) + b"\xff" * 6 + b"\x3f" + b"\x80\x80\x80\x80\x80\x80\x40" * 6)
@example(Kind.ARRAY, bytes([0x81, 0]) + b"\x80\x80\x80\x80\x80\x80\x40" * 7)  # empty, other dimensions 2^48
@example(Kind.JSON, b"1" * 200_000)
@example(Kind.JSON, b"[" * 200_000)
@example(Kind.JSON, b'{"a":' * 200_000)
@example(Kind.JSON, b"[" + b"1" * 5_000)
@example(Kind.TEXT, b"\xc0\x80")
def test_any_bytes_are_a_payload_or_a_typed_error(kind, canonical):
    try:
        value = payload.from_canonical(kind, canonical)
    except BlobError:
        return
    assert same(payload.from_canonical(*payload.to_canonical(value)), value)


def test_path_text():
    assert path_text([]) == "$"
    assert path_text(["a", 3, "b c", "_d", 'q"']) == '$.a[3]["b c"]._d["q\\""]'
    assert path_text(["a", 1, 2], most=2) == "$.a[1]…"
    assert path_text(["a", 1], most=2) == "$.a[1]"
