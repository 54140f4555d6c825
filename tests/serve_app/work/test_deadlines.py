"""Deadlines: what nobody waits for any more is not done, at the ingress nor at a replica."""

import asyncio
import math
import pickle
import time

import pytest

from cluster.registry import Registry
from nbmf.effort import EffortSetting
from nbmf.engine import Engine
from nbmf.payload import to_canonical
from nbmf.protocol import TIMEOUT_MS as HEADER
from serve_app.config import BatchConfig, DecoderLimits
from serve_app.reading.items import ToEncode
from serve_app.replicas import replicas
from serve_app.replicas.replicas import Decoder, Encoder
from serve_app.work import deadlines
from serve_app.work.deadlines import DeadlineExceeded, deadline_of, until
from serve_app.work.results import Failure

RECORDS = [(int(kind), data) for kind, data in map(to_canonical, ("a", {"b": 1}))]
REQUEST = {"records": [{"payload": "a"}, {"payload": "b"}]}


def test_a_request_may_ask_for_less_than_the_servers_limit_not_more():
    assert deadline_of(1000.0, None, 30) == 1030
    assert deadline_of(1000.0, 250, 30) == 1000.25
    assert deadline_of(1000.0, 30_001, 30) == 1030
    assert deadline_of(1000.0, 10**400, 30) == 1030


@pytest.mark.parametrize(("header", "seconds"), [({}, 20), ({HEADER: "5000"}, 5), ({HEADER: "999999"}, 20)])
def test_the_deadline_goes_to_the_replica(in_process, header, seconds, monkeypatch):
    asked = []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)

    async def encode(records, effort, deadline):
        asked.append(deadline)
        return [Failure("unsupported_payload", "") for _ in records]

    async def decode(blobs, deadline):
        asked.append(deadline)
        return [Failure("corrupt_blob", "") for _ in blobs]

    ask = in_process(encode=encode, decode=decode, request_timeout_s=20)
    assert ask("POST", "/v1/encode", json=REQUEST, headers=header).status_code == 200
    assert ask("POST", "/v1/decode", json={"blobs": ["AAAA"]}, headers=header).status_code == 200
    assert asked == [now + seconds] * 2


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "soon", "", "inf"])
@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
def test_what_is_no_time(in_process, path, value):
    answer = in_process()("POST", path, json={"payload": 1}, headers={HEADER: value})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert HEADER.lower() in answer.json()["error"]["message"].lower()


def _exceeded(answer):
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert HEADER in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
def test_a_request_whose_time_is_over_when_its_body_is_there(in_process, monkeypatch, path):
    def unused(*_):
        raise AssertionError

    ask = in_process(encode=unused, decode=unused)
    now = time.time()
    clock = [now]
    monkeypatch.setattr(time, "time", lambda: clock[0])

    async def body():
        clock[0] = now + 0.1
        yield b'{"records": [{"payload": "a"}]}'

    _exceeded(ask("POST", path, content=body(), headers={HEADER: "100"}))


def test_a_body_that_does_not_come(in_process):
    async def body():
        await asyncio.Event().wait()
        yield b""

    _exceeded(in_process()("POST", "/v1/encode", content=body(), headers={HEADER: "30"}))


def test_a_replica_that_does_not_answer(in_process):
    cancelled = []

    async def encode(*_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    _exceeded(in_process(encode=encode)("POST", "/v1/encode", json=REQUEST, headers={HEADER: "30"}))
    assert cancelled == [True]


def test_a_replica_codes_nothing_after_the_deadline(tmp_path, monkeypatch):
    """The request fails as a whole, be it a batch."""
    registry = Registry(tmp_path).location
    limits = DecoderLimits(max_payload_bytes=1000, max_loaded_versions=1)
    encoder, decoder = (
        Encoder(registry, "none", Engine(), BatchConfig()),
        Decoder(registry, "none", Engine(), BatchConfig(), limits),
    )
    records = [ToEncode(*record) for record in RECORDS]
    blobs = [
        coded.blob for coded in asyncio.run(encoder.encode(records, EffortSetting("auto", math.inf), time.time() + 600))
    ]
    assert asyncio.run(decoder.decode(blobs, time.time() + 600)) == RECORDS
    late = Failure("deadline_exceeded", str(DeadlineExceeded()))
    assert late.status == 504

    def unused(*_):
        raise AssertionError

    monkeypatch.setattr(replicas, "attempt_batch", unused)
    monkeypatch.setattr(replicas, "attempt_each", unused)
    for deadline in (0.0, time.time()):
        assert asyncio.run(encoder.encode(records, EffortSetting("auto", math.inf), deadline)) == late
        assert asyncio.run(decoder.decode(blobs, deadline)) == late


def test_the_answer_when_a_replica_found_it_too_late(in_process):
    """As by a clock that is ahead of the ingress's."""

    async def encode(*_):
        return Failure("deadline_exceeded", str(DeadlineExceeded()))

    ask = in_process(encode=encode)
    _exceeded(ask("POST", "/v1/encode", json=REQUEST))
    _exceeded(ask("POST", "/v1/encode", json={"payload": "a"}))


def test_other_timeouts_are_not_the_deadlines():
    async def inner():
        async with until(time.time() + 600):
            raise TimeoutError("of a socket")

    with pytest.raises(TimeoutError, match="of a socket"):
        asyncio.run(inner())


def test_nothing_is_begun_after_the_deadline():
    async def begin(deadline):
        async with until(deadline):
            return "begun"

    assert asyncio.run(begin(math.inf)) == asyncio.run(begin(time.time() + 600)) == "begun"
    with pytest.raises(DeadlineExceeded):
        asyncio.run(begin(time.time()))


def test_the_error_goes_from_process_to_process():
    error = pickle.loads(pickle.dumps(DeadlineExceeded()))
    assert (type(error), str(error)) == (DeadlineExceeded, str(deadlines.DeadlineExceeded()))
