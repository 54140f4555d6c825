"""Calls without I/O: deadlines, retries, and batches that are cut and put together again."""

import json
from collections import deque

import pytest
import synthetic

from nbmf import Codec
from nbmf.client import BadAnswer, ClientConfigError, ConnectionLost, DeadlineExceeded, RetryPolicy, Unavailable
from nbmf.client import calls as module
from nbmf.client.calls import Calls, Send, Wait
from nbmf.client.errors import RequestTooLarge, Unauthorized
from nbmf.client.messages import Answer
from nbmf.errors import ChecksumMismatch, CorruptBlob, NotABlob, PayloadTooLarge, UnsupportedPayload
from nbmf.payload import MAX_DEPTH, to_canonical
from nbmf.wire import canonical_to_json, from_base64, from_wire, to_wire

CODEC = Codec()
BLOB = CODEC.encode("x")


NO_TIMES_S = [0, -1, float("nan"), float("inf"), 1e7]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only `run` moves."""
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def make(timeout_s=10.0, retries=None, max_batch_records=256, max_batch_bytes=100_000):
    return Calls(timeout_s, retries or RetryPolicy(), max_batch_records, max_batch_bytes)


def answer(status, fields, **headers):
    return Answer(status, headers, fields if isinstance(fields, bytes) else json.dumps(fields).encode())


def failure(status, code, message="so it is", **headers):
    return answer(status, {"error": {"code": code, "message": message, "request_id": "r1"}}, **headers)


def run(call, outcomes, clock, seconds_each=0.0):
    """Drives a call; (result or error, steps). `outcomes` are answers, errors, or functions of the step."""
    outcomes, steps, outcome = deque(outcomes), [], None
    while True:
        try:
            step = call.send(outcome)
        except StopIteration as done:
            return done.value, steps
        except Exception as error:
            return error, steps
        steps.append(step)
        if isinstance(step, Wait):
            clock[0] += step.seconds
            outcome = None
        else:
            clock[0] += seconds_each
            outcome = outcomes.popleft() if len(outcomes) > 1 else outcomes[0]
            outcome = outcome(step) if callable(outcome) else outcome


def sends(steps):
    return [s for s in steps if isinstance(s, Send)]


OK = answer(200, {"kind": "text", "payload": "x"})
BUSY = failure(503, "unavailable", **{"retry-after": "2"})


# --- deadlines and retries ----------------------------------------------------------------------------------------


def test_an_answer_at_once(clock):
    result, steps = run(make().decode(BLOB, None), [OK], clock)
    assert result == "x"
    (send,) = steps
    assert (send.request.path, send.timeout_s) == ("/v1/decode", 10)
    assert from_base64(json.loads(send.request.body)["blob"], "blob") == BLOB


@pytest.mark.parametrize(
    "trouble",
    [
        BUSY,
        failure(429, "unavailable"),
        *(answer(status, b"of a proxy") for status in (500, 502, 503, 504)),
        ConnectionLost(""),
    ],
)
def test_trouble_that_passes(clock, trouble):
    result, steps = run(make().decode(BLOB, None), [trouble, trouble, OK], clock)
    assert result == "x"
    assert [type(s) for s in steps] == [Send, Wait, Send, Wait, Send]
    assert len({s.request_id for s in sends(steps)}) == 1


def test_retry_after_is_waited_for_and_a_bit_more(clock):
    _, steps = run(make().decode(BLOB, None), [BUSY, OK], clock)
    assert 2 <= steps[1].seconds <= 2.1
    assert steps[2].timeout_s == pytest.approx(10 - steps[1].seconds)


def test_retries_come_to_an_end(clock):
    policy = RetryPolicy(max_retries=3, first_pause_s=0.01)
    error, steps = run(make(retries=policy).decode(BLOB, None), [failure(503, "unavailable", "busy")], clock)
    assert isinstance(error, Unavailable)
    assert (error.status, error.code, error.request_id, error.args) == (503, "unavailable", "r1", ("busy",))
    assert len(sends(steps)) == 4


def test_no_pause_reaches_beyond_the_deadline(clock):
    error, steps = run(make(timeout_s=5).decode(BLOB, None), [BUSY], clock)
    assert isinstance(error, Unavailable)
    assert len(sends(steps)) == 3
    assert clock[0] < 1005


def test_the_time_of_requests_counts(clock):
    policy = RetryPolicy(max_retries=100, first_pause_s=0)
    error, steps = run(make(retries=policy).decode(BLOB, 3), [ConnectionLost("")], clock, seconds_each=1)
    assert isinstance(error, ConnectionLost)
    assert [s.timeout_s for s in sends(steps)] == [3, 2, 1]


@pytest.mark.parametrize(
    "outcome",
    [
        failure(400, "bad_request"),
        failure(401, "unauthorized"),
        failure(422, "corrupt_blob"),
        failure(500, "internal_error"),
        failure(503, "damaged_codec"),
        failure(504, "deadline_exceeded"),
        DeadlineExceeded("over"),
        answer(200, b"<html>"),
        answer(301, b""),
    ],
)
def test_what_is_not_tried_again(clock, outcome):
    error, steps = run(make().decode(BLOB, None), [outcome], clock)
    assert isinstance(error, Exception)
    assert len(steps) == 1


@pytest.mark.parametrize("options", [*({"timeout_s": s} for s in NO_TIMES_S), {"max_batch_records": 0}])
def test_options_that_cannot_be(options):
    with pytest.raises(ClientConfigError, match=next(iter(options))):
        make(**options)


@pytest.mark.parametrize("timeout_s", NO_TIMES_S)
def test_a_timeout_that_cannot_be(clock, timeout_s):
    error, _ = run(make().decode(BLOB, timeout_s), [OK], clock)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    "asked",
    [
        "-5",
        "1.5",
        "inf",
        "\u0663",
        "99 Jan",
        "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        "Mon, 01 Jan 0001 0:0:0 -0000",
    ],
)
def test_a_retry_after_that_says_nothing(clock, asked):
    result, steps = run(make().decode(BLOB, None), [failure(503, "unavailable", **{"retry-after": asked}), OK], clock)
    assert result == "x"
    assert steps[1].seconds <= 0.1


@pytest.mark.parametrize("asked", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_beyond_the_deadline(clock, asked):
    error, steps = run(make().decode(BLOB, None), [failure(503, "unavailable", **{"retry-after": asked})], clock)
    assert isinstance(error, Unavailable)
    assert len(steps) == 1


# --- batches ------------------------------------------------------------------------------------------------------


def service(max_records=10**6, max_body_bytes=10**9):
    """Answers batches as the service does, with limits of its own."""

    def respond(step):
        request = step.request
        if len(request.body) > max_body_bytes:
            return failure(413, "body_too_large")
        ((name, items),) = json.loads(request.body).items()
        if len(items) > max_records:
            return failure(413, "batch_too_large")
        results = []
        for item in items:
            if name == "records":
                results.append({"blob": to_wire(CODEC.encode(from_wire(item)))["bytes_base64"]})
            else:
                try:
                    results.append({"kind": "any", **to_wire(CODEC.decode(from_base64(item, "blob")))})
                except CorruptBlob as error:
                    results.append({"error": {"code": error.code, "message": str(error)}})
        return answer(200, {"results": results}, **{"x-request-id": "r2"})

    return respond


def encode_batch(calls, payloads, **options):
    return calls.encode_batch(payloads, "lossless", options.get("keys"), None, None, None)


PAYLOADS = ["a" * n for n in range(25)]


@pytest.mark.parametrize(
    ("limits", "counts"),
    [
        ({}, [25]),
        ({"max_batch_records": 10}, [10, 10, 5]),
        ({"max_batch_bytes": 120}, None),
        ({"max_batch_bytes": 1}, [1] * 25),
    ],
)
def test_batches_are_cut(clock, limits, counts):
    result, steps = run(encode_batch(make(**limits), PAYLOADS), [service()], clock)
    assert [CODEC.decode(blob) for blob in result] == PAYLOADS
    sent = [json.loads(s.request.body)["records"] for s in steps]
    assert [r["payload"] for part in sent for r in part] == PAYLOADS
    assert [len(part) for part in sent] == (counts or [len(part) for part in sent])
    if limits.get("max_batch_bytes", 0) > 100:
        assert all(len(s.request.body) <= 120 + len('{"records":[]}') for s in steps)
        assert 1 < len(steps) < 25


@pytest.mark.parametrize("limits", [{"max_records": 4}, {"max_body_bytes": 150}])
def test_a_part_that_the_service_finds_too_large_is_halved(clock, limits):
    blobs = [CODEC.encode(p) for p in PAYLOADS]
    result, steps = run(make().decode_batch(blobs, None), [service(**limits)], clock)
    assert result == PAYLOADS
    assert len(steps) > 5


def test_a_record_that_is_too_large_alone_is_its_own_error(clock):
    payloads = ["a", "b" * 1000, "c"]
    result, _ = run(encode_batch(make(), payloads), [service(max_body_bytes=500)], clock)
    assert [CODEC.decode(result[0]), CODEC.decode(result[2])] == ["a", "c"]
    assert isinstance(result[1], RequestTooLarge)
    assert result[1].status == 413


def test_errors_are_in_their_places(clock):
    payloads = ["a", (1, 2), "b", {"x": {3}}, "c"]
    result, steps = run(encode_batch(make(max_batch_records=2), payloads), [service()], clock)
    assert [CODEC.decode(r) for r in result[::2]] == ["a", "b", "c"]
    assert [type(r) for r in result[1::2]] == [UnsupportedPayload] * 2
    assert result[3].path == "$.x"
    assert len(steps) == 2
    blobs = [BLOB, BLOB[:-1], BLOB]
    result, _ = run(make().decode_batch(blobs, None), [service()], clock)
    assert (result[0], type(result[1]), result[2]) == ("x", ChecksumMismatch, "x")
    assert result[1].request_id == "r2"


def test_nothing_is_sent_where_nothing_can_be(clock):
    assert run(encode_batch(make(), []), [None], clock) == ([], [])
    result, steps = run(encode_batch(make(), [{1: 2}]), [None], clock)
    assert (type(result[0]), steps) == (UnsupportedPayload, [])


def test_a_request_that_fails_before_anything_is_done(clock):
    error, steps = run(encode_batch(make(max_batch_records=5), PAYLOADS), [failure(401, "unauthorized")], clock)
    assert isinstance(error, Unauthorized)
    assert len(steps) == 1


def test_a_request_that_fails_later_is_the_result_of_all_that_remain(clock):
    outcomes = [service(), service(), failure(504, "deadline_exceeded")]
    result, steps = run(encode_batch(make(max_batch_records=5), PAYLOADS), outcomes, clock)
    assert [CODEC.decode(blob) for blob in result[:10]] == PAYLOADS[:10]
    assert {type(error) for error in result[10:]} == {DeadlineExceeded}
    assert len(steps) == 3


def test_one_deadline_for_all_parts(clock):
    result, steps = run(encode_batch(make(max_batch_records=5), PAYLOADS), [service()], clock, seconds_each=4)
    assert [s.timeout_s for s in steps] == [10, 6, 2]
    assert [CODEC.decode(blob) for blob in result[:15]] == PAYLOADS[:15]
    assert {type(error) for error in result[15:]} == {DeadlineExceeded}


def test_keys(clock):
    keys = ["k1", None, "k\ud800"]
    _, (step,) = run(encode_batch(make(), ["a", "b", "c"], keys=keys), [service()], clock)
    assert [r.get("key") for r in json.loads(step.request.body)["records"]] == keys
    for wrong in (["k"], "abc"):
        error, steps = run(encode_batch(make(), ["a", "b", "c"], keys=wrong), [service()], clock)
        assert isinstance(error, ValueError)
        assert steps == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"results": 3}',
        b'{"results": []}',
        b'{"results": [3]}',
        b'{"results": [{}]}',
        b'{"results": [{"payload": 1, "array": 2}]}',
    ],
)
def test_answers_that_are_none(clock, content):
    result, _ = run(make().decode_batch([BLOB], None), [answer(200, content)], clock)
    assert isinstance(result[0] if isinstance(result, list) else result, BadAnswer)


def test_the_deepest_payload_comes_back(clock):
    payload = synthetic.nested(MAX_DEPTH)
    row = canonical_to_json(*to_canonical(payload))
    result, _ = run(
        make().decode_batch([BLOB, BLOB], None), [answer(200, b'{"results":[' + row + b"," + row + b"]}")], clock
    )
    assert [to_canonical(value) for value in result] == [to_canonical(payload)] * 2


def test_errors_of_records_have_their_classes(clock):
    codes = {"not_a_blob": NotABlob, "payload_too_large": PayloadTooLarge, "unavailable": Unavailable}
    rows = [{"error": {"code": code, "message": "m"}} for code in codes]
    result, _ = run(make().decode_batch([BLOB] * 3, None), [answer(200, {"results": rows})], clock)
    assert [type(error) for error in result] == list(codes.values())
