"""The running service over gRPC: the same as over HTTP."""

import grpc
import numpy as np
import pytest
import synthetic
import torch
from google.protobuf.json_format import MessageToDict
from grpc_payloads import canonical_of
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import payloads as any_payload
from payloads import same

from nbmf import Codec, inspect, json_text
from nbmf.client import Client
from nbmf.payload import Kind, from_canonical, to_canonical
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.grpc.messages import payload_message

PAYLOADS = [
    "Remember the milk.",
    "",
    "lone \ud800, joined \ud83d\ude00",
    [{"role": "user", "content": "hi"}, {"role": "tool", "content": None, "calls": [{"id": 1.0}]}],
    None,
    10**5000 + 7,
    [0.1, -0.0, 5e-324, 1.0, 1, float("inf"), float("nan")],
    {"b": 1, "a": {"k\ud800": ["\ud83d\ude00"]}},
    synthetic.nested(1000),
    b"",
    bytes(range(256)),
    np.array([1.5, -0.0, np.nan, np.inf], "<f2"),
    np.arange(30, dtype="<f8").reshape(2, 3, 5).transpose() / 7,
    np.zeros((0, 3), "<f4"),
    np.arange(4, dtype=">i4"),
    torch.linspace(-1, 1, 7).to(torch.bfloat16).reshape(7, 1),
    json_text.loads('{"a":[1.50,1E5,-0],"far":1e400,"digits":0.1234567890123456789012345}'),
    *synthetic.records(20, seed=80),
]
BLOB = Codec().encode("x" * 100)
DAMAGED = BLOB[:-1] + bytes([BLOB[-1] ^ 1])


def message(payload):
    return payload_message(*to_canonical(payload))


def record(payload, **fields):
    return pb.Record(payload=message(payload), **fields)


@pytest.fixture(scope="module")
def http(service):
    with Client(service.url) as client:
        yield client


def test_blobs_and_payloads_are_those_of_http(stub, http, version):
    for payload in PAYLOADS:
        encoded = stub.Encode(pb.EncodeRequest(record=record(payload, key="k")))
        assert encoded.blob == http.encode(payload, key="k")
        info = inspect(encoded.blob)
        told = (encoded.kind, encoded.coder, encoded.codec or None, encoded.payload_bytes)
        assert told == (info.kind, info.coder, info.codec, len(to_canonical(payload)[1]))
        decoded = stub.Decode(pb.DecodeRequest(blob=encoded.blob))
        assert decoded.kind == info.kind
        assert same(from_canonical(*canonical_of(decoded.payload)), payload) or isinstance(payload, np.ndarray)
        assert canonical_of(decoded.payload) == to_canonical(http.decode(encoded.blob))


def test_batches(stub, http):
    records = [record(payload, key=str(number)) for number, payload in enumerate(PAYLOADS)]
    encoded = stub.EncodeBatch(pb.EncodeBatchRequest(records=records)).results
    blobs = [result.encoded.blob for result in encoded]
    assert blobs == http.encode_batch(PAYLOADS)
    decoded = stub.DecodeBatch(pb.DecodeBatchRequest(blobs=blobs)).results
    assert [canonical_of(r.decoded.payload) for r in decoded] == [to_canonical(p) for p in PAYLOADS]
    assert not stub.EncodeBatch(pb.EncodeBatchRequest()).results


@settings(max_examples=20)
@given(st.lists(any_payload, min_size=1, max_size=20))
def test_any_payloads(stub, payloads):
    encoded = stub.EncodeBatch(pb.EncodeBatchRequest(records=map(record, payloads))).results
    decoded = stub.DecodeBatch(pb.DecodeBatchRequest(blobs=[r.encoded.blob for r in encoded])).results
    for result, payload in zip(decoded, payloads, strict=True):
        assert same(from_canonical(*canonical_of(result.decoded.payload)), payload)


def test_failures_of_records(stub, service):
    bad = [pb.Record(), pb.Record(payload=pb.Payload(json=b"{")), record("x" * 600_000), record("fine")]
    results = stub.EncodeBatch(pb.EncodeBatchRequest(records=bad)).results
    codes = ["bad_request", "bad_request", "payload_too_large", ""]
    assert [r.failure.code for r in results] == codes
    results = stub.DecodeBatch(pb.DecodeBatchRequest(blobs=[BLOB, DAMAGED, b"no"])).results
    assert results[0].decoded.payload.text == b"x" * 100
    assert [r.failure.code for r in results[1:]] == ["checksum_mismatch", "not_a_blob"]
    assert all(r.failure.message for r in results[1:])


@pytest.mark.parametrize("effort", ["fast", "max", "auto"])
def test_effort(stub, http, effort):
    options = pb.EncodeOptions(effort=f"EFFORT_{effort.upper()}")
    request = pb.EncodeRequest(record=record(PAYLOADS[-1]), options=options)
    assert stub.Encode(request).blob == http.encode(PAYLOADS[-1], effort=effort)


def test_versions(stub, http, version):
    (found,) = stub.Versions(pb.VersionsRequest()).versions
    (expected,) = http.versions()
    assert (found.id, tuple(found.channels), found.name) == (expected.id, expected.channels, expected.name)
    assert MessageToDict(found.measured) == expected.measured
    assert found.id == version.id


def error_of(method, request, **options):
    """(status, code, message, trailing metadata) of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        method(request, **options)
    trailing = dict(caught.value.trailing_metadata())
    return caught.value.code(), trailing.get("nbmf-code"), caught.value.details(), trailing


def test_errors(stub, service):
    status, code, details, trailing = error_of(stub.Decode, pb.DecodeRequest(blob=DAMAGED))
    assert (status, code) == (grpc.StatusCode.INVALID_ARGUMENT, "checksum_mismatch")
    assert details
    assert len(trailing["x-request-id"]) == 32
    answer = service.octets("/v1/decode", DAMAGED).json()["error"]
    assert (answer["code"], answer["message"]) == (code, details)
    too_large = pb.DecodeRequest(blob=bytes(service.config.max_body_bytes + 1))
    assert error_of(stub.Decode, too_large)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "body_too_large")
    many = pb.DecodeBatchRequest(blobs=[b""] * (service.config.max_batch_records + 1))
    assert error_of(stub.DecodeBatch, many)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "batch_too_large")


def test_a_message_that_is_too_large_to_be_read(stub):
    """By Serve's limit, which the session sets: otherwise 2 GiB would be in memory before anything looks at them."""
    status, code, *_ = error_of(stub.Decode, pb.DecodeRequest(blob=bytes(65 * 2**20)))
    assert (status, code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


def test_a_message_that_is_none_of_ours(service):
    with grpc.insecure_channel(service.grpc_address) as channel:
        garbage = channel.unary_unary("/nbmf.v1.Codec/Decode")
        metadata = [("application", "nbmf")]
        status, code, message, _ = error_of(garbage, b"\xff" * 20, timeout=10, metadata=metadata)
        assert (status, code) == (grpc.StatusCode.INVALID_ARGUMENT, "bad_request")
        assert "20 bytes is none of Decode's" in message
        unknown = channel.unary_unary("/nbmf.v1.Codec/Erase")
        with pytest.raises(grpc.RpcError) as caught:
            unknown(b"", timeout=10, metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_metadata_of_a_call(stub):
    request = pb.DecodeRequest(blob=BLOB)
    metadata = [("application", "nbmf"), ("x-request-id", "mine-1")]
    answer, call = stub.Decode.with_call(request, metadata=metadata, timeout=20)
    assert answer.payload.text == b"x" * 100
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-1"
    assert error_of(stub.Decode, request, metadata=[("application", "other")])[0] is grpc.StatusCode.NOT_FOUND


def test_a_deadline_ends_a_call(stub):
    status, *_ = error_of(stub.Decode, pb.DecodeRequest(blob=BLOB), timeout=0.0001)
    assert status is grpc.StatusCode.DEADLINE_EXCEEDED
    assert stub.Decode(pb.DecodeRequest(blob=BLOB), timeout=20).kind == Kind.TEXT.label


def test_the_deadline_is_told_to_the_service(stub):
    """It takes the place of what metadata say; by these alone the call would be over at once."""
    metadata = [("x-request-timeout-ms", "1")]
    assert stub.Decode(pb.DecodeRequest(blob=BLOB), timeout=20, metadata=metadata).kind == Kind.TEXT.label
    batch = pb.EncodeBatchRequest(records=map(record, synthetic.records(50, seed=81)))
    status, code, *_ = error_of(stub.EncodeBatch, batch, metadata=metadata)
    assert (status, code) == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_exceeded")
