"""The stub's calls: both directions, old blobs and new."""

import contextlib
import json
import random
import zlib

import numpy as np
import pytest
from helpers import json_values, payloads, record, same
from hypothesis import given
from hypothesis import strategies as st
from old_stores import dict_blob_1

import nbmf
from nbmf import compat, errors, stub

VALUE = record(random.Random(4))


@given(payloads)
def test_our_dict_blobs_round_trip(value):
    blob = compat.encode(value, "lossless")
    assert same(compat.decode(blob), value)
    assert same(nbmf.decode(compat.unwrap(blob)), value)


@given(json_values)
def test_our_dict_blobs_survive_a_store_of_json(value):
    blob = json.loads(json.dumps(compat.encode(value)))
    assert blob.keys() == {"meta", "code"}
    assert blob["meta"] == {"encoder_version": "nbmf-2", "fidelity": "lossless"}
    assert not stub.is_stub_blob(blob)
    assert compat.is_dict_blob(blob)
    assert same(compat.decode(blob), value)


@given(json_values)
def test_what_was_written_before_is_read(value):
    try:
        before = dict_blob_1(nbmf.encode(value), value)
    except ValueError:  # a lone surrogate cannot be signed so, nor an integer of thousands of digits
        return
    assert compat.is_dict_blob(before)
    assert not stub.is_stub_blob(before)
    assert compat.unwrap(before) == nbmf.encode(value)
    assert same(compat.decode(before), value)


def test_the_fidelity_told_is_the_blobs_own():
    vector = np.sin(np.arange(64)).astype(np.float32)
    assert compat.wrap(nbmf.encode(vector, "semantic"))["meta"]["fidelity"] == "semantic"
    assert compat.wrap(nbmf.encode(vector))["meta"]["fidelity"] == "lossless"
    with pytest.raises(errors.NotABlob):
        compat.wrap(b"text")


@given(st.binary(max_size=40))
def test_no_character_of_the_code_needs_an_escape(data):
    code = compat.wrap(nbmf.encode(data))["code"]
    assert json.dumps(code) == f'"{code}"'


def sequence(kind, size):
    """Text that is adverse to coders: nothing to find, one character, bytes as JSON escapes, scripts, digits."""
    rng = random.Random(f"{kind} {size}")
    characters = {
        "random": [chr(c) for c in range(32, 127)],
        "zeros": ["0"],
        "controls": [chr(c) for c in range(32)],
        "hex": list("0123456789abcdef"),
        "scripts": [chr(rng.randrange(0x100, 0xD800)) for _ in range(5000)],
        "beyond": [chr(rng.randrange(0x10000, 0x110000)) for _ in range(5000)],
        "quotes": ['"', "\\"],
    }
    return "".join(rng.choices(characters[kind], k=size))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 40, 300, 5_000])
@pytest.mark.parametrize("kind", ["random", "zeros", "controls", "hex", "scripts", "beyond", "quotes"])
def test_never_larger_than_the_stubs_dict(kind, size):
    text = sequence(kind, size)
    nested = json.loads("[" * min(size, 300) + "]" * min(size, 300) or "0")
    of_numbers = [len(text) * 7**n % 10**9 for n in range(min(size, 300))]
    for value in (text, [text], {text: None}, [{"role": "user", "content": text}], nested, of_numbers):
        assert stored_bytes(compat.encode(value)) < stored_bytes(stub.encode(value, "lossless"))


@pytest.mark.parametrize("kind", ["random", "zeros", "scripts"])
def test_never_larger_than_the_stubs_dict_if_large(kind):
    text = sequence(kind, 200_000)
    assert stored_bytes(compat.encode(text)) < stored_bytes(stub.encode(text, "lossless"))


@given(json_values)
def test_never_larger_than_the_stubs_dict_whatever_it_holds(value):
    try:
        by_stub = stub.encode(value, "lossless")
    except ValueError:
        return
    if same(stub.decode(by_stub), value):  # the stub cuts digits off, as of 1.50
        assert stored_bytes(compat.encode(value)) < stored_bytes(by_stub)


def stored_bytes(blob):
    return len(json.dumps({"payload": blob}, separators=(",", ":")).encode())


def test_stub_blobs_are_decoded_as_before():
    assert same(compat.decode(stub.encode(VALUE, "lossless")), VALUE)
    assert compat.decode(stub.encode("  a  preview ")) == "a preview"
    for version in (None, "stub", "production_placeholder"):
        blob = stub.encode(VALUE, "lossless")
        blob["meta"]["encoder_version"] = version
        assert same(compat.decode(blob), VALUE)


@pytest.mark.parametrize("version", ["nbmf-3", "", 1, [], {}])
def test_other_encoder_versions(version):
    blob = compat.encode(VALUE)
    blob["meta"]["encoder_version"] = version
    with pytest.raises(errors.UnsupportedFormat, match="encoder_version"):
        compat.decode(blob)


@pytest.mark.parametrize("code", [None, 5, b"b2", ["b2"], "missing"])
@pytest.mark.parametrize("before", [False, True])
def test_code_that_is_not_text(code, before):
    blob = (dict_blob_1(nbmf.encode(VALUE), VALUE) if before else compat.encode(VALUE)) | {"code": code}
    if code == "missing":
        del blob["code"]
    with pytest.raises(errors.CorruptBlob, match="not text"):
        compat.decode(blob)


@pytest.mark.parametrize("code", ["zz", "b", "b2 3", "é"])
def test_code_that_is_not_hex(code):
    with pytest.raises(errors.CorruptBlob, match="not hex"):
        compat.decode(dict_blob_1(nbmf.encode(VALUE), VALUE) | {"code": code})


@pytest.mark.parametrize("code", ["b2 34", '"', "\\", "é", "~~~~~", "0", "ab cd", "00000\n"])
def test_code_that_is_not_base85(code):
    with pytest.raises(errors.CorruptBlob, match="not base85"):
        compat.decode(compat.encode(VALUE) | {"code": code})


def test_one_code_alone_stands_for_a_blob():
    """Base85 has five characters for the last one to four bytes in which bits are left over."""
    code = compat.encode([1, 2, "three"])["code"]
    blob = compat.unwrap({"meta": {"encoder_version": "nbmf-2"}, "code": code})
    others = {code[:-1] + chr(c) for c in range(33, 127)} - {code}
    for other in others:
        with contextlib.suppress(errors.CorruptBlob):
            assert compat.unwrap({"meta": {"encoder_version": "nbmf-2"}, "code": other}) != blob


def test_damaged_code():
    blob = compat.encode(VALUE)
    for damaged in (blob["code"][:-2], blob["code"] + "00", "", "00", "ff" + blob["code"][2:]):
        with pytest.raises((errors.BlobError, errors.UnknownCodec)):
            compat.decode(blob | {"code": damaged})
    before = dict_blob_1(nbmf.encode(VALUE), VALUE)
    for damaged in (before["code"][:-2], before["code"] + "00", "", "00", "ff" + before["code"][2:]):
        with pytest.raises(errors.BlobError):
            compat.decode(before | {"code": damaged})


@pytest.mark.parametrize("value", [None, "text", [], b"x", 5])
def test_what_is_no_dict_blob(value):
    with pytest.raises(TypeError, match="a dict blob is a dict"):
        compat.decode(value)
    for damaged in ({}, {"meta": None}, {"meta": [], "code": "00"}):
        with pytest.raises(errors.DamagedStubBlob):
            compat.decode(damaged)


def test_what_the_stub_accepted_is_accepted():
    """Tuples come back as lists and keys as text, as they did from the stub."""
    value = {"t": (1, 2), "u": {3: {None: True}}}
    assert same(compat.decode(compat.encode(value)), {"t": [1, 2], "u": {"3": {"null": True}}})
    assert same(compat.decode(compat.encode(value)), stub.decode(stub.encode(value, "lossless")))


@pytest.mark.parametrize(("value", "path"), [({"a": [{1}]}, "$.a[0]"), ({"a": (b"x",)}, "$.a"), ([object()], "$[0]")])
def test_what_neither_can_hold(value, path):
    with pytest.raises(errors.UnsupportedPayload) as raised:
        compat.encode(value)
    assert raised.value.path == path


def test_production_encoder(version_folder, fresh_default_catalog):
    for encoder in (
        compat.ProductionNBMFEncoder(),
        compat.ProductionNBMFEncoder("conversation", str(version_folder)),
        compat.ProductionNBMFEncoder(domain="general", model_path=version_folder),
    ):
        for fidelity in ("lossless", "semantic"):
            blob = encoder.encode(VALUE, fidelity)
            assert blob["meta"]["encoder_domain"] == encoder.domain
            assert same(encoder.decode(blob), VALUE)
            named = nbmf.inspect(compat.unwrap(blob)).codec
            assert named == (version_folder.name[:4] if encoder.model_path else None)
        assert same(encoder.decode(stub.encode(VALUE, "lossless")), VALUE)
    with pytest.raises(errors.DamagedCodec):
        compat.ProductionNBMFEncoder(model_path=version_folder / "absent")


def test_a_dict_blob_of_a_version_that_is_not_here(codec, fresh_default_catalog):
    blob = compat.encode(VALUE, codec=codec)
    assert same(compat.decode(blob, codec=codec), VALUE)
    with pytest.raises(errors.UnknownCodec):
        compat.decode(blob)


def test_keys_that_become_one_are_refused():
    with pytest.raises(errors.UnsupportedPayload, match="a dict key is int"):
        compat.encode({1: "a", "1": "b"})
    twice = {"meta": {"fidelity": "lossless"}, "code": zlib.compress(b'{"k":1,"k":2}').hex(), "sig": ""}
    with pytest.raises(errors.DamagedStubBlob, match="the key 'k' more than once"):
        compat.decode(twice)


def test_vectors_are_kept_lossless_unless_semantic_is_asked_for():
    vector = np.sin(np.arange(384)).astype(np.float32)
    for encode in (compat.encode, compat.ProductionNBMFEncoder().encode):
        unasked, near, whole = encode(vector), encode(vector, "semantic"), encode(vector, "lossless")
        assert [blob["meta"]["fidelity"] for blob in (unasked, near, whole)] == ["lossless", "semantic", "lossless"]
        assert unasked == whole
        assert [compat.unwrap(blob) for blob in (whole, near)] == [nbmf.encode(vector), nbmf.encode(vector, "semantic")]
        assert same(compat.decode(unasked), vector)
        found = compat.decode(near)
        assert 0.98 <= found @ vector / np.sqrt((found @ found) * (vector @ vector)) < 1
    with pytest.raises(ValueError, match="fidelity"):
        compat.encode(vector, "roughly")
