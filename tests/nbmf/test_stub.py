"""Blobs of the zlib stub: written as it wrote them, read as before, damage typed."""

import contextlib
import hashlib
import json
import random
import zlib

import pytest
from helpers import json_values, record, same
from hypothesis import given
from hypothesis import strategies as st

from nbmf import stub
from nbmf.errors import DamagedStubBlob, NbmfError

VALUE = record(random.Random(4))


def _plain(value):
    """Values that the stub could write: it encoded strictly, so no lone surrogates."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def test_lossless_by_hand():
    value = {"b": 1, "a": "é"}
    code = zlib.compress('{"b": 1, "a": "é"}'.encode(), 9)
    assert stub.encode(value, "lossless") == {
        "meta": {"fidelity": "lossless", "type": "dict", "length_bytes": len(code)},
        "code": code.hex(),
        "sig": hashlib.sha256('{"a": "é", "b": 1}'.encode()).hexdigest(),
    }


@pytest.mark.parametrize(
    ("value", "preview"),
    [
        ("  a \n b\tc ", "a b c"),
        ({"b": 1, "a": "é"}, '{"a": "é", "b": 1}'),
        ("x" * 5000, "x" * 2048),
        ("é" * 2049, "é" * 2048),
        ([], "[]"),
        ("", ""),
    ],
)
def test_semantic_is_a_preview(value, preview):
    blob = stub.encode(value)
    assert bytes.fromhex(blob["code"]).decode() == preview == stub.decode(blob)
    assert blob["meta"] == {"fidelity": "semantic", "type": type(value).__name__, "preview_length": len(preview)}
    assert stub.is_preview(blob)
    assert not stub.is_preview(stub.encode(value, "lossless"))


@given(json_values.filter(_plain))
def test_lossless_round_trip(value):
    assert same(stub.decode(stub.encode(value, "lossless")), value)


def test_what_is_a_stub_blob():
    good = stub.encode(VALUE, "lossless")
    assert stub.is_stub_blob(good)
    assert stub.is_stub_blob(stub.encode("x"))
    for version in (None, "stub", "production_placeholder"):
        assert stub.is_stub_blob(good | {"meta": good["meta"] | {"encoder_version": version}})
    for other in (
        None,
        [],
        {},
        {**good, "more": 1},
        {k: v for k, v in good.items() if k != "sig"},
        good | {"meta": None},
        good | {"meta": {}},
        good | {"meta": {"fidelity": ["lossless"]}},
        good | {"code": b"00"},
        good | {"meta": good["meta"] | {"encoder_version": "nbmf-1"}},
        good | {"meta": good["meta"] | {"encoder_version": []}},
    ):
        assert not stub.is_stub_blob(other)


RAW = bytes.fromhex(stub.encode(VALUE, "lossless")["code"])


@pytest.mark.parametrize(
    "change",
    [
        {"code": None},
        {"code": 5},
        {"code": b"00"},
        {"code": ["00"]},
        {"code": ""},
        {"code": "0"},
        {"code": "zz"},
        {"code": RAW[:-1].hex()},
        {"code": RAW[:-4].hex()},
        {"code": (RAW + b"x").hex()},
        {"code": RAW[:20].hex()},
        {"code": zlib.compress(b"not json").hex()},
        {"code": zlib.compress(b"\xff").hex()},
        {"code": zlib.compress(b"").hex()},
        {"code": zlib.compress(b"[" * 100_000).hex()},
        {"meta": None},
        {"meta": []},
        {"meta": "lossless"},
        {"meta": {"fidelity": "semantic"}, "code": "ff"},
        {"meta": {"fidelity": "semantic"}, "code": "f"},
    ],
)
def test_damage_is_typed(change):
    with pytest.raises(DamagedStubBlob):
        stub.decode(stub.encode(VALUE, "lossless") | change)


@pytest.mark.parametrize("key", ["meta", "code"])
def test_missing_parts(key):
    blob = stub.encode(VALUE, "lossless")
    del blob[key]
    with pytest.raises(DamagedStubBlob):
        stub.decode(blob)


def test_every_flipped_bit_of_the_code_is_noticed_or_harmless():
    harmless = 0
    for bit in range(len(RAW) * 8):
        damaged = bytearray(RAW)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert same(stub.decode({"meta": {"fidelity": "lossless"}, "code": damaged.hex(), "sig": ""}), VALUE)
            harmless += 1
        except NbmfError:
            pass
    assert harmless < 16


@given(st.dictionaries(st.sampled_from(["meta", "code", "sig"]), json_values | st.text("0123456789abcdef")))
def test_any_dict_is_typed(value):
    with contextlib.suppress(DamagedStubBlob):
        stub.decode(value)


def test_bound():
    blob = stub.encode("x" * 1000, "lossless")
    assert stub.decode(blob, max_output_bytes=5000) == "x" * 1000
    with pytest.raises(DamagedStubBlob):
        stub.decode(blob, max_output_bytes=900)
