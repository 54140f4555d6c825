"""The stub's calls: both directions, old blobs and new."""

import json
import random
import zlib

import numpy as np
import pytest
from helpers import json_values, payloads, record, same
from hypothesis import given

import nbmf
from nbmf import compat, errors, stub

VALUE = record(random.Random(4))


@given(payloads)
def test_our_dict_blobs_round_trip(value):
    blob = compat.encode(value, "lossless")
    assert same(compat.decode(blob), value)
    assert same(nbmf.decode(bytes.fromhex(blob["code"])), value)


@given(json_values)
def test_our_dict_blobs_survive_a_store_of_json(value):
    blob = json.loads(json.dumps(compat.encode(value)))
    assert blob.keys() == {"meta", "code", "sig"}
    assert blob["meta"]["encoder_version"] == "nbmf-1"
    assert blob["meta"]["fidelity"] == "semantic"
    assert blob["meta"]["type"] == type(value).__name__
    assert blob["meta"]["length_bytes"] == len(bytes.fromhex(blob["code"]))
    assert not stub.is_stub_blob(blob)
    assert same(compat.decode(blob), value)


def test_the_signature_is_the_stubs():
    for value in (VALUE, "text", {"b": 1, "a": [None]}):
        assert compat.encode(value)["sig"] == stub.encode(value, "lossless")["sig"]
    for value in (b"bytes", np.zeros(2), 10**5000):
        assert len(compat.encode(value)["sig"]) == 64


def test_stub_blobs_are_decoded_as_before():
    assert same(compat.decode(stub.encode(VALUE, "lossless")), VALUE)
    assert compat.decode(stub.encode("  a  preview ")) == "a preview"
    for version in (None, "stub", "production_placeholder"):
        blob = stub.encode(VALUE, "lossless")
        blob["meta"]["encoder_version"] = version
        assert same(compat.decode(blob), VALUE)


@pytest.mark.parametrize("version", ["nbmf-2", "", 1, [], {}])
def test_other_encoder_versions(version):
    blob = compat.encode(VALUE)
    blob["meta"]["encoder_version"] = version
    with pytest.raises(errors.UnsupportedFormat, match="encoder_version"):
        compat.decode(blob)


@pytest.mark.parametrize("code", [None, 5, b"b2", "zz", "b", ["b2"], "missing"])
def test_code_that_is_not_hex(code):
    blob = compat.encode(VALUE) | {"code": code}
    if code == "missing":
        del blob["code"]
    with pytest.raises(errors.CorruptBlob, match="not hex"):
        compat.decode(blob)


def test_damaged_code():
    blob = compat.encode(VALUE)
    for damaged in (blob["code"][:-2], blob["code"] + "00", "", "00", "ff" + blob["code"][2:]):
        with pytest.raises(errors.BlobError):
            compat.decode(blob | {"code": damaged})


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
            named = nbmf.inspect(bytes.fromhex(blob["code"])).codec
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
        assert [blob["meta"]["fidelity"] for blob in (unasked, near, whole)] == ["semantic", "semantic", "lossless"]
        assert unasked["code"] == whole["code"] == nbmf.encode(vector).hex()
        assert near["code"] == nbmf.encode(vector, "semantic").hex() != whole["code"]
        assert same(compat.decode(unasked), vector)
        found = compat.decode(near)
        assert 0.98 <= found @ vector / np.sqrt((found @ found) * (vector @ vector)) < 1
    with pytest.raises(ValueError, match="fidelity"):
        compat.encode(vector, "roughly")
