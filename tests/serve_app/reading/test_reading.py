"""What is read of bodies, and where: on the loop, in a thread, or in a process of its own. The answers are the same."""

import asyncio
import base64
import gc
import json
import math
import os
import signal
import threading
import time

import pytest
import synthetic
from in_process import Context
from octets import OCTETS, frame_items

from nbmf import Codec, compat, stub
from nbmf.client import messages
from nbmf.errors import PayloadTooLarge
from nbmf.payload import MAX_DEPTH, to_canonical
from nbmf.wire import dump
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.reading import dict_blobs, items, reader
from serve_app.reading.items import Bounds
from serve_app.reading.reader import OWN_PROCESS_BYTES, Reader
from serve_app.work.batching import Overloaded
from serve_app.work.deadlines import DeadlineExceeded
from serve_app.work.off_loop import LARGE_BYTES
from serve_app.work.results import RequestFailed

BOUNDS = Bounds(10**6, 10**6, 10, 10**7)
VECTOR = [math.sin(n) for n in range(100)]
SEMANTIC_RECORDS = [pb.Record(payload=pb.Payload(json=dump(VECTOR)), fidelity=fidelity) for fidelity in (2, 3)]
BLOB = base64.b64encode(Codec().encode({"a": [1.5, "x"]})).decode()
DICT_BLOBS = [stub.encode({"ü": [1.5]}, "lossless"), stub.encode("a  b"), compat.wrap(Codec().encode("words"))]


def test_the_deepest_payload_does_not_harm_its_batch():
    payloads = ["short", synthetic.nested(MAX_DEPTH)]
    body = messages.batch_body("records", [messages.record_json(p, "k", "lossless") for p in payloads])
    read = items.records_of_json([body], BOUNDS, None, None)
    assert read == (True, [items.Record(items.ToEncode(*to_canonical(p)), "k") for p in payloads])


@pytest.mark.parametrize(
    ("size_bytes", "where"), [(10, "loop"), (LARGE_BYTES, "thread"), (OWN_PROCESS_BYTES, "process")]
)
def test_large_bodies_are_not_read_on_the_loop(in_process, monkeypatch, size_bytes, where):
    """Where everybody's requests would wait for one."""
    threads, function = [], items.parse_object

    def told(*arguments):
        assert not gc.isenabled()  # it would go through all values that are made, again and again
        threads.append(threading.current_thread())
        return function(*arguments)

    monkeypatch.setattr(items, "parse_object", told)
    answer = in_process()("POST", "/v1/encode", json={"payload": "x" * size_bytes})
    assert answer.status_code == 200
    assert gc.isenabled()
    assert Codec().decode(base64.b64decode(answer.json()["blob"])) == "x" * size_bytes
    match where:
        case "loop":
            assert threads == [threading.main_thread()]
        case "thread":
            assert [thread.name.partition("_")[0] for thread in threads] == ["bodies"]
        case "process":
            assert threads == []


REQUESTS = {
    "record": ("/v1/encode?key=k", {"json": {"payload": {"a": [1.5, None, "ü"]}}}),
    "own key": ("/v1/encode", {"content": b'{"payload":1,"key":"\\ud800"}'}),
    "two keys": ("/v1/encode?key=a", {"json": {"payload": 1, "key": "b"}}),
    "key that is none": ("/v1/encode", {"json": {"payload": 1, "key": None}}),
    "batch": ("/v1/encode", {"json": {"records": [{"payload": 1}, {"bytes_base64": "!"}, 7, {"text_base64": "AA=="}]}}),
    "no records": ("/v1/encode", {"json": {"records": []}}),
    "many records": ("/v1/encode", {"json": {"records": [{"payload": 1}] * 2000}}),
    "array": ("/v1/encode", {"json": {"array": {"dtype": "int8", "shape": [2], "data_base64": "AAE="}}}),
    "no JSON": ("/v1/encode", {"content": b"{"}),
    "no UTF-8": ("/v1/encode", {"content": b'{"payload":"\xff"}'}),
    "a key twice": ("/v1/encode", {"content": b'{"payload":{"a":1,"a":2}}'}),
    "other fields": ("/v1/encode", {"json": {"payload": 1, "efort": 2}}),
    "long integer": ("/v1/encode", {"content": b'{"payload":' + b"9" * 100_001 + b"}"}),
    "octets": ("/v1/encode?kind=json&key=k", {"content": b'[1.50, "x"]', "headers": OCTETS}),
    "octets that are none": ("/v1/encode?kind=json", {"content": b"[", "headers": OCTETS}),
    "batch of octets": (
        "/v1/encode?kind=json&batch=true",
        {"content": frame_items([b"1", b"[", b"{}"]), "headers": OCTETS},
    ),
    "semantic": ("/v1/encode?key=k", {"json": {"payload": VECTOR, "fidelity": "semantic"}}),
    "fidelities": (
        "/v1/encode?fidelity=semantic",
        {"json": {"records": [{"payload": VECTOR}, {"payload": VECTOR, "fidelity": "lossless"}]}},
    ),
    "semantic octets": ("/v1/encode?kind=json&fidelity=semantic", {"content": dump(VECTOR), "headers": OCTETS}),
    "another fidelity than the query": (
        "/v1/encode?fidelity=lossless",
        {"json": {"payload": 1, "fidelity": "semantic"}},
    ),
    "no fidelity": ("/v1/encode", {"json": {"payload": 1, "fidelity": "roughly"}}),
    "blob": ("/v1/decode", {"json": {"blob": BLOB}}),
    "blobs": ("/v1/decode", {"json": {"blobs": [BLOB, "!", 7, "AAAA"]}}),
    "dict blobs": ("/v1/decode", {"json": {"blobs": [*DICT_BLOBS, BLOB, {"meta": 1}]}}),
    "dict blobs as octets": ("/v1/decode", {"content": json.dumps(DICT_BLOBS[0]).encode(), "headers": OCTETS}),
    "no blob": ("/v1/decode", {"json": {}}),
}


@pytest.mark.parametrize(("path", "options"), REQUESTS.values(), ids=REQUESTS)
def test_a_process_of_its_own_makes_no_difference(in_process, monkeypatch, path, options):
    options = {**options, "headers": {"X-Request-Id": "an-id", **options.get("headers", {})}}
    here = in_process()("POST", path, **options)
    monkeypatch.setattr(reader, "OWN_PROCESS_BYTES", 0)
    monkeypatch.setattr(items, "records_of_json", None)
    monkeypatch.setattr(dict_blobs, "blobs_of_json", None)
    elsewhere = in_process()("POST", path, **options)
    assert (elsewhere.status_code, elsewhere.content) == (here.status_code, here.content)


def test_nor_over_grpc(in_process, monkeypatch):
    texts = [b'{"a":[1.50,null]}', b"[", b'"\xed\xa0\x80"', b"\xff"]
    records = [pb.Record(payload=pb.Payload(json=text), key="k") for text in texts]
    records += [pb.Record(payload=pb.Payload(text=b"x")), *SEMANTIC_RECORDS]
    request = pb.EncodeBatchRequest(records=records)
    answers = []
    for least in (OWN_PROCESS_BYTES, 0):
        monkeypatch.setattr(reader, "OWN_PROCESS_BYTES", least)
        ingress = in_process().ingress
        answers.append(asyncio.run(ingress.EncodeBatch(request, Context([]))))
        assert any(process._child for process in ingress._reader._processes) == (not least)
    assert answers[0] == answers[1]
    assert [result.WhichOneof("result") for result in answers[0].results] == [
        "encoded", "failure", "encoded", "failure", "encoded", "encoded", "failure",
    ]  # fmt: skip


# --- bounds -------------------------------------------------------------------------------------------------------


def test_values_are_bounded_by_the_services_limits():
    """Each takes many times the memory, and the time, of its two bytes."""
    bounds = Bounds(16 * 2**20, 2**20, 10, 2**24)
    many, too_many = b"[" + b"1," * 1_100_000 + b"1]", b"[" + b"1," * 2_200_000 + b"1]"
    read = items.records_of_json([b'{"records":[{"payload":' + many + b'},{"payload":1}]}'], bounds, None, None)
    assert [getattr(item, "code", "read") for item in read.items] == ["payload_too_large", "read"]
    for function, parts, arguments in (
        (items.records_of_octets, [many], ("json", None, None)),
        (items.records_of_utf8, [many], ()),
    ):
        (error,) = function(parts, bounds, *arguments).items
        assert isinstance(error, PayloadTooLarge)
        assert "values" in str(error)
    with pytest.raises(PayloadTooLarge, match="the body is JSON of more than 2097152 values; a larger max_body_bytes"):
        items.records_of_json([b'{"payload":' + too_many + b"}"], bounds, None, None)


# --- processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def large(monkeypatch):
    """A function: the reader's answer to a small body, as to a large one."""
    monkeypatch.setattr(reader, "OWN_PROCESS_BYTES", 0)

    async def read(of, seconds=60.0):
        _, found = await of.read(dict_blobs.blobs_of_json, [dump({"blob": BLOB})], deadline=time.time() + seconds)
        return found

    return read


@pytest.fixture
def make():
    """A function: a reader."""
    made = []

    def reader_of(max_waiting=16):
        made.append(Reader(BOUNDS, max_waiting))
        return made[-1]

    yield reader_of
    for one in made:
        one.close()


def signalled(of, number):
    """Sends a signal to the processes that there are."""
    for process in of._processes:
        if process._child is not None:
            os.kill(process._child._process.pid, number)


def test_what_takes_too_long_is_ended(make, large):
    async def run():
        of = make()
        await large(of)
        signalled(of, signal.SIGSTOP)
        with pytest.raises(DeadlineExceeded):
            await large(of, 0.2)
        ended = [process._child for process in of._processes]
        with pytest.raises(DeadlineExceeded):
            await large(of, 0)
        assert [process._child for process in of._processes] == ended  # none was started for it
        return await large(of)

    assert asyncio.run(run()) == [base64.b64decode(BLOB)]


def test_a_process_that_was_killed_is_started_anew(make, large):
    async def run():
        of = make()
        await large(of)
        signalled(of, signal.SIGKILL)
        with pytest.raises(RequestFailed) as failed:
            await large(of)
        assert failed.value.failure.status == 503
        return await large(of)

    assert asyncio.run(run()) == [base64.b64decode(BLOB)]


def test_who_waits_for_a_process(make, large):
    """Two are read at a time, so many more wait, and a client that left makes room only once its body was read."""

    async def run():
        of = make(max_waiting=1)
        await asyncio.gather(large(of), large(of))
        signalled(of, signal.SIGSTOP)
        first = [asyncio.create_task(large(of)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):
            await large(of, 0.05)
        third = asyncio.create_task(large(of))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await large(of)
        first[0].cancel()
        await asyncio.sleep(0)
        assert not third.done()
        signalled(of, signal.SIGCONT)
        assert await first[1] == await third
        with pytest.raises(asyncio.CancelledError):
            await first[0]
        await asyncio.gather(large(of), large(of))

    asyncio.run(run())
