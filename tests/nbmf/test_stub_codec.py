"""The stub as a codec: its dicts as JSON text, or a blob of what it would change."""

import json

import numpy as np
import pytest
from helpers import json_values, payloads, same
from hypothesis import given

import nbmf
from nbmf import compat, json_text, stub
from nbmf.payload import to_canonical
from nbmf.stub_codec import StubCodec

CODEC = StubCodec()


def decoded(data):
    held = compat.of_json(data)
    return nbmf.decode(data) if held is None else compat.decode(held)


@given(payloads)
def test_whatever_it_takes_comes_back(value):
    (data,) = CODEC.encode_canonical_batch([to_canonical(value)])
    assert data == CODEC.encode(value)
    assert same(decoded(data), value)


@given(json_values)
def test_json_is_the_stubs_dict_where_that_gives_it_back(value):
    try:
        theirs = stub.encode(value, "lossless")
    except ValueError:
        theirs = None
    if theirs is not None and same(stub.decode(theirs), value):
        assert json.loads(CODEC.encode(value)) == theirs


@pytest.mark.parametrize("value", ["\ud800", b"bytes", np.arange(3.0), json_text.loads("1.50")])
def test_what_it_would_change_is_a_blob(value):
    data = CODEC.encode(value)
    assert compat.of_json(data) is None
    assert nbmf.inspect(data).codec is None
    assert same(nbmf.decode(data), value)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":1}', b"[]", b"\xb1{", b'{"meta":{},"code":""}', b"{\xff}"])
def test_what_is_no_json_of_a_dict_blob(data):
    assert compat.of_json(data) is None
