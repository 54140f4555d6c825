"""Payloads as JSON objects: equal after there and back, and every malformed object a BadWire."""

import base64
from unittest import mock

import helpers
import numpy as np
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

from nbmf import json_text, wire
from nbmf.errors import CorruptBlob
from nbmf.payload import MAX_DEPTH, Kind, to_canonical
from nbmf.wire import BadWire, canonical_to_json, dump, from_base64, from_utf8, from_wire, load, load_named, to_wire

ARRAY = {"dtype": "float32", "shape": [2], "data_base64": base64.b64encode(bytes(8)).decode()}


@pytest.mark.parametrize(
    "payload",
    [
        "text",
        "",
        None,
        {},
        [],
        {"payload": 1},
        float("nan"),
        -0.0,
        10**400,
        "\ud800",
        "\ud83d\ude00",
        {"\ud83d\ude00": ["\ud800", "\ud800\udc00", "\U00010000"]},
        synthetic.nested(1000),
        b"",
        b"\x00\xff",
        np.arange(6, dtype="<f2").reshape(2, 3),
        np.array([np.nan, -0.0, np.inf], "<f4"),
        np.zeros((0, 4), "<f8"),
        *synthetic.records(9),
    ],
    ids=lambda p: type(p).__name__,
)
def test_there_and_back_through_json(payload):
    text = dump(to_wire(payload))
    assert to_canonical(from_wire(json_text.loads(text.decode()))) == to_canonical(payload)


def test_the_deepest_payload_in_a_batch():
    payload = synthetic.nested(MAX_DEPTH)
    text = b'{"results":[' + canonical_to_json(*to_canonical(payload)) + b"]}"
    (fields,) = load(text)["results"]
    assert to_canonical(from_wire(fields)) == to_canonical(payload)
    with pytest.raises(ValueError, match="nested deeper"):
        load(b"[" * (MAX_DEPTH + 4) + b"]" * (MAX_DEPTH + 4))


def test_what_escapes_would_join_is_written_otherwise():
    assert to_wire("\ud83d\ude00").keys() == {"text_base64"}
    assert to_wire(["\ud83d\ude00"]).keys() == {"json_base64"}
    assert to_wire("\ude00\ud83d \U0001f600").keys() == {"payload"}


@given(st.text(st.characters(exclude_categories=()), max_size=30), st.integers(1, 9), st.booleans())
def test_long_text_is_written_in_parts(text, piece_bytes, in_json):
    payload = [text] if in_json else text
    with mock.patch.object(wire, "_PIECE_BYTES", piece_bytes):
        assert canonical_to_json(*to_canonical(payload)) == dump(to_wire(payload))


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON])
def test_what_is_no_text_is_corrupt(kind):
    with pytest.raises(CorruptBlob, match="not UTF-8"):
        canonical_to_json(kind, b'"\xff"')


@given(helpers.payloads)
def test_any_payload_from_its_value_or_its_canonical_bytes(payload):
    for text in (canonical_to_json(*to_canonical(payload)), dump(to_wire(payload))):
        assert helpers.same(from_wire(json_text.loads(text.decode())), payload)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "exactly one of"),
        ({"payload": 1, "bytes_base64": ""}, "exactly one of"),
        ({"bytes_base64": "!"}, "bytes_base64 is not base64"),
        ({"bytes_base64": "AAA"}, "bytes_base64 is not base64"),
        ({"bytes_base64": "ÄÖÜß"}, "bytes_base64 is not base64"),
        ({"array": {**ARRAY, "shape": [10**5000]}}, "array.shape is a list of sizes"),  # more than Python writes
        ({"bytes_base64": 3}, "bytes_base64 is not base64"),
        ({"bytes_base64": None}, "bytes_base64 is not base64"),
        ({"text_base64": "!"}, "text_base64 is not base64"),
        ({"text_base64": "/w=="}, "text_base64 is not text"),
        ({"json_base64": "/w=="}, "json_base64 is not text"),
        ({"json_base64": "ew=="}, "json_base64 is not JSON"),
        ({"array": []}, "array needs"),
        ({"array": {"dtype": "float32", "shape": [2]}}, "array needs"),
        ({"array": {**ARRAY, "order": "C"}}, "array needs"),
        ({"array": {**ARRAY, "dtype": "complex64"}}, "array.dtype"),
        ({"array": {**ARRAY, "byte_order": "middle"}}, "array.byte_order"),
        ({"array": {**ARRAY, "library": ["torch"]}}, "array.library"),
        ({"array": {**ARRAY, "byte_order": "big", "library": "torch"}}, "array.shape"),
        ({"array": {**ARRAY, "dtype": ["float32"]}}, "array.dtype"),
        ({"array": {**ARRAY, "data_base64": "?"}}, "array.data_base64 is not base64"),
        ({"array": {**ARRAY, "data_base64": "AAAA"}}, "array.shape does not fit"),
        ({"array": {**ARRAY, "shape": [3]}}, "array.shape"),
        ({"array": {**ARRAY, "shape": [-1]}}, "array.shape"),
        ({"array": {**ARRAY, "shape": 2}}, "array.shape"),
        ({"array": {**ARRAY, "shape": None}}, "array.shape"),
        ({"array": {**ARRAY, "shape": [2.0]}}, "array.shape"),
        ({"array": {**ARRAY, "shape": [True, 2]}}, "array.shape"),
        ({"array": {**ARRAY, "shape": ["2"]}}, "array.shape"),
        ({"array": {**ARRAY, "shape": [2**80]}}, "array.shape"),
        ({"array": {**ARRAY, "shape": {"0": 2}}}, "array.shape"),
        ({"array": {**ARRAY, "shape": [1] * 65 + [2]}}, "array.shape"),
    ],
)
def test_malformed_objects_are_refused(fields, problem):
    with pytest.raises(BadWire, match=problem):
        from_wire(fields)


def test_base64_errors_name_the_field():
    with pytest.raises(BadWire, match="blob is not base64"):
        from_base64("a b", "blob")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(encoding):
    assert load('{"payload": "Zürich 東京"}'.encode(encoding)) == {"payload": "Zürich 東京"}
    with pytest.raises(ValueError, match=encoding.removesuffix("-sig")):
        load('{"payload": 1}'.encode(encoding) + b"\xff")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_before_json_in_a_field(encoding):
    """As in a body; of text it is kept, as that has to come back as it was."""
    assert from_utf8('{"a": 1.50, "n": "Zürich"}'.encode(encoding), "json", as_json=True) == {"a": 1.5, "n": "Zürich"}
    assert from_utf8(b"\xef\xbb\xbf1", "text", as_json=False) == "\ufeff1"
    with pytest.raises(BadWire, match=f"json is not text: .*{encoding.removesuffix('-sig')}"):
        from_utf8("1".encode(encoding) + b"\xff", "json", as_json=True)


def test_a_key_that_is_there_twice_is_named_with_its_path():
    with pytest.raises(BadWire, match=r"the body: the object at \$\.payload\[0\] has the key 'k' more than once"):
        load_named(b'{"payload":[{"k":1,"k":2}]}', "the body")
    twice = base64.b64encode(b'{"k":1,"k":2}').decode()
    with pytest.raises(BadWire, match=r"json_base64: the object at \$ has the key 'k' more than once"):
        from_wire({"json_base64": twice})
