"""gRPC methods in this process: who may call, limits, deadlines, statuses, the log."""

import asyncio
import json
import math
import time
from types import SimpleNamespace
from urllib.parse import quote

import grpc
import keys
import numpy as np
import pytest
from kept_logs import keep

from cluster import config as configuration
from cluster.errors import ConfigError
from nbmf import Codec, protocol
from nbmf.vectors.compare import cosines
from nbmf.wire import dump
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.grpc.registration import telling_timeout
from serve_app.grpc.statuses import status_of
from serve_app.work.results import Failure, RequestFailed

BLOB = Codec().encode("x")
DECODE = pb.DecodeRequest(blob=BLOB)
ENCODE = pb.EncodeRequest(record=pb.Record(payload=pb.Payload(text=b"x")))
KEYS = {"api_keys": [keys.entry("writer", "k1", "encode"), keys.entry("reader", "k2", "decode")]}


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({}, "unauthorized"),
        ({"authorization": "Bearer wrong"}, "unauthorized"),
        ({"authorization": "Basic k2"}, "unauthorized"),
        ({"authorization": "Bearer "}, "unauthorized"),
        ({"authorization": "Bearer k1"}, "forbidden"),
        ({"x_api_key": "k1"}, "forbidden"),
        ({"authorization": "Bearer k2"}, None),
        ({"authorization": "bearer k2"}, None),
        ({"x_api_key": "k2"}, None),
        ({"authorization": "Bearer wrong", "x_api_key": "k2"}, "unauthorized"),
    ],
)
def test_api_keys(call, metadata, code):
    done = call("Decode", DECODE, KEYS, **metadata)
    statuses = {"unauthorized": "UNAUTHENTICATED", "forbidden": "PERMISSION_DENIED", None: "OK"}
    assert done.context.status.name == statuses[code]
    assert done.context.trailing.get("nbmf-code") == code
    assert (done.answer.payload.text == b"x") == (code is None)


@pytest.mark.parametrize(
    ("method", "request_", "role"),
    [
        ("Encode", ENCODE, "k1"),
        ("EncodeBatch", pb.EncodeBatchRequest(), "k1"),
        ("Decode", DECODE, "k2"),
        ("DecodeBatch", pb.DecodeBatchRequest(), "k2"),
        ("Versions", pb.VersionsRequest(), "both"),
    ],
)
def test_roles(call, method, request_, role):
    for key in ("k1", "k2"):
        status = call(method, request_, KEYS, authorization=f"Bearer {key}").context.status
        assert status.name == ("OK" if role in (key, "both") else "PERMISSION_DENIED")
    assert call(method, request_, KEYS).context.status is grpc.StatusCode.UNAUTHENTICATED


def test_every_code_has_a_status():
    names = {
        "bad_request": "INVALID_ARGUMENT",
        "unauthorized": "UNAUTHENTICATED",
        "forbidden": "PERMISSION_DENIED",
        "unknown_codec": "NOT_FOUND",
        "version_not_found": "NOT_FOUND",
        "slow_body": "DEADLINE_EXCEEDED",
        "rollout_error": "FAILED_PRECONDITION",
        "rollout_changed": "FAILED_PRECONDITION",
        "fixed_version": "FAILED_PRECONDITION",
        "payload_too_large": "INVALID_ARGUMENT",
        "output_too_large": "INVALID_ARGUMENT",
        "body_too_large": "INVALID_ARGUMENT",
        "batch_too_large": "INVALID_ARGUMENT",
        "unsupported_media_type": "INVALID_ARGUMENT",
        "overloaded": "RESOURCE_EXHAUSTED",
        "internal_error": "INTERNAL",
        "damaged_codec": "UNAVAILABLE",
        "quarantined_codec": "UNAVAILABLE",
        "version_killed": "UNAVAILABLE",
        "inexact_machine": "UNAVAILABLE",
        "registry_error": "UNAVAILABLE",
        "unavailable": "UNAVAILABLE",
        "deadline_exceeded": "DEADLINE_EXCEEDED",
    }
    assert names.keys() == protocol.STATUS_OF_CODE.keys()
    names |= {"corrupt_blob": "INVALID_ARGUMENT", "unsupported_payload": "INVALID_ARGUMENT"}
    assert {code: status_of(Failure(code, "")).name for code in names} == names


@pytest.mark.parametrize(
    ("code", "pushback"), [("overloaded", "1000"), ("unavailable", "1000"), ("corrupt_blob", None)]
)
def test_failures_of_the_whole_call(call, code, pushback):
    async def decode(*_):
        return Failure(code, "why \ud800 " + "\U00020000" * 5000)

    context = call("Decode", DECODE, replicas={"decode": decode}).context
    assert context.status is status_of(Failure(code, ""))
    assert context.details.startswith("why \\ud800 \U00020000")
    # gRPC writes each byte that is not ASCII as three, and clients refuse more than 8 KB of headers.
    assert 1000 < len(quote(context.details)) < 7000
    assert (context.trailing["nbmf-code"], context.trailing.get("grpc-retry-pushback-ms")) == (code, pushback)


def test_a_fault(call):
    async def decode(*_):
        raise RuntimeError("of the record: secret")

    context = call("Decode", DECODE, replicas={"decode": decode}).context
    assert context.status is grpc.StatusCode.INTERNAL
    assert context.details == "a fault of the server: RuntimeError; see its log"


@pytest.mark.parametrize(
    "options",
    [
        {"effort": 9},
        {"latency_budget_ms": 0.0},
        {"latency_budget_ms": math.nan},
        {"latency_budget_ms": math.inf},
        {"effort": pb.EFFORT_MAX, "latency_budget_ms": 3.0},
    ],
)
def test_options_that_cannot_be(call, options):
    request = pb.EncodeRequest(record=ENCODE.record, options=pb.EncodeOptions(**options))
    context = call("Encode", request).context
    assert (context.status.name, context.trailing["nbmf-code"]) == ("INVALID_ARGUMENT", "bad_request")


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"payload": pb.Payload(text=b"\xff")},
        {"payload": pb.Payload(json=b"")},
        {"payload": pb.Payload(json=b'{"a":1,"a":2}')},
        {"payload": pb.Payload(array=pb.Array())},
        {"payload": pb.Payload(array=pb.Array(dtype="complex64", shape=[1], data=b"12345678"))},
        {"payload": pb.Payload(array=pb.Array(dtype="float32", shape=[2], data=b"1234"))},
        {"payload": pb.Payload(array=pb.Array(dtype="float32", shape=[2**63 + 1], data=b"1234"))},
        {"payload": pb.Payload(text=b"x"), "fidelity": 7},
    ],
)
def test_records_that_are_none(call, record):
    context = call("Encode", pb.EncodeRequest(record=pb.Record(**record))).context
    assert (context.status.name, context.trailing["nbmf-code"]) == ("INVALID_ARGUMENT", "bad_request")


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("5000", 5), ("0005000", 5), ("999999", 20), (None, 20), ("9" * 5000, 20)]
)
def test_the_deadline_goes_to_the_replica(call, timeout, seconds, monkeypatch):
    asked = []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)

    async def decode(blobs, deadline):
        asked.append(deadline)
        return [(0, b"x")]

    metadata = {} if timeout is None else {"x_request_timeout_ms": timeout}
    call("Decode", DECODE, {"request_timeout_s": 20}, {"decode": decode}, **metadata)
    assert asked == [now + seconds]


@pytest.mark.parametrize("timeout", ["soon", "0", "-5", "1.5", ""])
def test_what_is_no_time(call, timeout):
    context = call("Decode", DECODE, x_request_timeout_ms=timeout).context
    assert (context.status.name, context.trailing["nbmf-code"]) == ("INVALID_ARGUMENT", "bad_request")
    assert "x-request-timeout-ms" in context.details


def test_a_fidelity_that_is_none(call):
    record = pb.Record(payload=pb.Payload(text=b"x"), fidelity=3)
    context = call("Encode", pb.EncodeRequest(record=record)).context
    assert (context.status.name, context.trailing["nbmf-code"]) == ("INVALID_ARGUMENT", "bad_request")
    assert "FIDELITY_SEMANTIC" in context.details
    answer = call("EncodeBatch", pb.EncodeBatchRequest(records=[record, ENCODE.record])).answer
    assert [result.WhichOneof("result") for result in answer.results] == ["failure", "encoded"]
    assert answer.results[0].failure.code == "bad_request"


def test_fidelities_of_a_batch(call):
    """Blobs are those that each record alone has; what was changed is told where something was."""
    vector = [math.sin(n) for n in range(384)]
    messages = [{"role": "user", "content": "Anna", "embedding": vector}]
    semantic, lossless = pb.FIDELITY_SEMANTIC, pb.FIDELITY_LOSSLESS
    array = pb.Array(dtype="float32", shape=[384], data=np.array(vector, "<f4").tobytes())
    sent = [
        (pb.Payload(json=dump(messages)), messages, semantic),
        (pb.Payload(json=dump(messages)), messages, lossless),
        (pb.Payload(array=array), np.array(vector, "<f4"), semantic),
        (pb.Payload(text=b"x"), "x", semantic),
    ]
    records = [pb.Record(payload=payload, fidelity=fidelity) for payload, _, fidelity in sent]
    results = call("EncodeBatch", pb.EncodeBatchRequest(records=records)).answer.results
    names = {semantic: "semantic", lossless: "lossless"}
    expected = [Codec().encode(value, names[fidelity]) for _, value, fidelity in sent]
    assert [result.encoded.blob for result in results] == expected
    assert [result.encoded.HasField("similarity") for result in results] == [True, False, True, False]
    (found,) = call("DecodeBatch", pb.DecodeBatchRequest(blobs=[expected[0]])).answer.results
    decoded = json.loads(found.decoded.payload.json)
    (cosine,) = cosines(messages, decoded)
    told = results[0].encoded.similarity
    assert (told.vectors, told.cosine_mean, told.cosine_min) == (1, pytest.approx(cosine), pytest.approx(cosine))
    one = call("Encode", pb.EncodeRequest(record=records[0])).answer
    assert one == results[0].encoded


NEWER = bytes([15 << 3, 7])  # field 15, the integer 7


@pytest.mark.parametrize(
    ("method", "message", "named"),
    [
        ("Encode", pb.EncodeRequest(record=pb.Record.FromString(NEWER)), "EncodeRequest.record"),
        ("Encode", pb.EncodeRequest(options=pb.EncodeOptions.FromString(NEWER)), "EncodeRequest.options"),
        (
            "Encode",
            pb.EncodeRequest(record=pb.Record(payload=pb.Payload(array=pb.Array.FromString(NEWER)))),
            "EncodeRequest.record.payload.array",
        ),
        ("EncodeBatch", pb.EncodeBatchRequest(records=[ENCODE.record, pb.Record.FromString(NEWER)]), ".records"),
        ("EncodeBatch", pb.EncodeBatchRequest.FromString(NEWER), "EncodeBatchRequest"),
        ("Decode", pb.DecodeRequest.FromString(NEWER), "DecodeRequest"),
        ("DecodeBatch", pb.DecodeBatchRequest.FromString(NEWER), "DecodeBatchRequest"),
        ("Versions", pb.VersionsRequest.FromString(NEWER), "VersionsRequest"),
    ],
)
def test_fields_of_a_newer_client(call, method, message, named):
    """They would have no effect."""
    context = call(method, message).context
    assert (context.status.name, context.trailing["nbmf-code"]) == ("INVALID_ARGUMENT", "bad_request")
    assert named in context.details
    assert "15" in context.details


@pytest.mark.parametrize(("left_s", "told"), [(2.5, "2500"), (-1.0, "1"), (None, "7"), (9.2e18, "7")])
def test_the_timeout_of_a_call_is_told_in_metadata(left_s, told):
    seen = []

    async def handler(request, context):
        seen.extend(context.invocation_metadata())
        return context.peer()

    context = SimpleNamespace(
        invocation_metadata=lambda: (("a", "b"), ("x-request-timeout-ms", "7")),
        time_remaining=lambda: left_s,
        peer=lambda: "peer",
    )
    assert asyncio.run(telling_timeout(handler)(None, context)) == "peer"
    assert seen == [("a", "b"), ("x-request-timeout-ms", told)]


@pytest.fixture
def lines(monkeypatch):
    kept = keep(monkeypatch, "nbmf.requests")
    return lambda: [json.loads(line) for line in kept]


def test_lines_of_the_log(call, lines):
    call("Decode", DECODE, KEYS, authorization="Bearer k2", x_request_id="r1")
    call("Decode", DECODE, KEYS, authorization="Bearer k1", x_request_id="not well-formed")
    good, bad = lines()
    assert (good["method"], good["route"], good["status"], good["code"]) == (
        "gRPC",
        "/nbmf.v1.Codec/Decode",
        "OK",
        None,
    )
    assert (good["request_id"], good["api_key"], good["records"]) == ("r1", "reader", 1)
    assert good["bytes_in"] == DECODE.ByteSize()
    assert good["bytes_out"] > 0
    assert (bad["status"], bad["code"], bad["api_key"]) == ("PERMISSION_DENIED", "forbidden", "writer")
    assert len(bad["request_id"]) == 32


def test_a_client_that_hung_up(call, lines):
    async def decode(*_):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        call("Decode", DECODE, replicas={"decode": decode})
    (line,) = lines()
    assert (line["status"], line["code"]) == (None, "cancelled")


def test_a_failure_of_the_whole_call_that_is_raised(call, monkeypatch):
    from serve_app.service import CodecService

    async def versions(self):
        raise RequestFailed(Failure("registry_error", "gone"))

    monkeypatch.setattr(CodecService, "versions", versions)
    context = call("Versions", pb.VersionsRequest()).context
    assert (context.status.name, context.details) == ("UNAVAILABLE", "gone")


def test_two_protocols_need_two_ports():
    with pytest.raises(ConfigError, match="grpc_port is the same as port"):
        configuration.load(ServeConfig, None, DEFAULT_FILE, {"port": 9000, "grpc_port": 9000})
    assert configuration.load(ServeConfig, None, DEFAULT_FILE).grpc_port is None
