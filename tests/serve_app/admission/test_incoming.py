"""Bodies on their way in: who waits for them, for how long, and what becomes of a connection that goes on sending."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from keys import entry
from octets import OCTETS

from serve_app.admission import incoming
from serve_app.admission.incoming import BodyTooLarge, IncomingBodies, SlowBody
from serve_app.admission.work_slots import Side, WorkSlots
from serve_app.http import bodies, request_log
from serve_app.observe.calls import Call, begin
from serve_app.work import off_loop
from serve_app.work.batching import Overloaded
from serve_app.work.deadlines import DeadlineExceeded


@pytest.fixture(autouse=True)
def waited_for_at_once(monkeypatch):
    monkeypatch.setattr(incoming, "_QUICK_S", 0)


def request(*chunks, caller=None, timeout_s=30.0, **headers):
    """One whose body is these chunks; where one is None it waits for ever."""
    scope = {}
    begin(scope, Call("id", time.time(), deadline=time.time() + timeout_s, api_key=caller))

    async def stream():
        for chunk in chunks:
            if chunk is None:
                await asyncio.Event().wait()
            await asyncio.sleep(0.01)
            yield chunk

    return SimpleNamespace(scope=scope, headers={n.replace("_", "-"): v for n, v in headers.items()}, stream=stream)


def read(*chunks, limit=4, patience_s=30.0, max_bytes=1000, **options):
    return asyncio.run(IncomingBodies(limit, patience_s).read(request(*chunks, **options), max_bytes))


def test_a_body_that_comes():
    assert read(b"a", b"b", b"c") == b"abc"
    assert read() == b""


def test_a_body_that_is_too_large():
    for chunks, headers in (
        ((b"x" * 600,) * 2, {}),
        ((), {"content_length": "1001"}),
        ((), {"content_length": "9" * 5000}),
    ):
        with pytest.raises(BodyTooLarge):
            read(*chunks, **headers)


def test_a_body_that_stays_out():
    with pytest.raises(SlowBody, match="1 bytes of the body"):
        read(b"x", None, patience_s=0.2)
    with pytest.raises(DeadlineExceeded):
        read(b"x", None, timeout_s=0.2)


def test_a_body_that_is_long_but_comes(monkeypatch):
    """Each byte gives it more time."""
    monkeypatch.setattr(incoming, "_SLOWEST_BYTES_PER_S", 10)
    assert len(read(*[b"xx"] * 30, patience_s=0.15)) == 60


def test_no_caller_has_all_places():
    """Of four, one that sends slowly has two; another finds one of those that are left; without keys there are four."""

    async def run(callers):
        bodies_ = IncomingBodies(4, 30)
        slow = [asyncio.ensure_future(bodies_.read(request(b"x", None, caller=caller), 10)) for caller in callers]
        await asyncio.sleep(0.2)
        refused = [isinstance(one.exception(), Overloaded) if one.done() else False for one in slow]
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert await bodies_.read(request(b"x", b"y", caller="a"), 10) == b"xy"
        return refused

    assert asyncio.run(run("aaaab")) == [False, False, True, True, False]
    assert asyncio.run(run([None] * 5)) == [False] * 4 + [True]


async def work_until(end, slots, side):
    async with slots.taken(side, time.time() + 30):
        await end.wait()


def begin_work(end, slots, *sides):
    return [asyncio.ensure_future(work_until(end, slots, side)) for side in sides]


def test_places_of_work():
    async def run():
        slots, end = WorkSlots(2, 1), asyncio.Event()
        working = begin_work(end, slots, Side.ENCODE, Side.DECODE, Side.ENCODE)
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await work_until(end, slots, Side.ENCODE)
        working[2].cancel()
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):
            async with slots.taken(Side.DECODE, time.time() + 0.05):
                raise AssertionError
        end.set()
        await asyncio.gather(*working[:2])
        await asyncio.wait_for(work_until(end, slots, Side.ENCODE), 10)

    asyncio.run(run())


def test_a_side_leaves_places_to_the_other():
    """Decoders that hang have no more than three quarters of the places, and of those to wait in."""

    async def run():
        slots, end = WorkSlots(4, 4), asyncio.Event()
        decoding = begin_work(end, slots, *[Side.DECODE] * 6)
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await work_until(end, slots, Side.DECODE)
        async with slots.taken(Side.ENCODE, time.time() + 30):
            with pytest.raises(DeadlineExceeded):
                async with slots.taken(Side.ENCODE, time.time() + 0.05):
                    raise AssertionError
        decoding[3].cancel()  # it waits
        await asyncio.sleep(0)
        decoding += begin_work(end, slots, Side.DECODE)
        end.set()
        await asyncio.gather(*decoding[:3], *decoding[4:])
        await asyncio.wait_for(work_until(end, slots, Side.DECODE), 10)

    asyncio.run(run())


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 64])
def test_a_side_has_never_all_places(limit):
    async def run():
        slots, end = WorkSlots(limit, 1), asyncio.Event()
        tasks = begin_work(end, slots, *[Side.DECODE] * limit)
        await asyncio.sleep(0.05)
        async with slots.taken(Side.ENCODE, time.time() + 0.05):
            end.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_health_is_apart(in_process):
    """Places of work are taken, and so are those that wait for one: who asks for health is answered."""

    async def encode(*_):
        await asyncio.Event().wait()

    sizes = {"min_replicas": 1, "max_replicas": 1, "num_cpus": 0.2, "target_ongoing_requests": 1}
    delays = {"upscale_delay_s": 1, "downscale_delay_s": 1}
    one = {"ingress": {**sizes, **delays, "max_ongoing_requests": 1}, "max_queued_requests": 1}
    service = in_process(encode=encode, **one)

    async def run():
        import httpx

        app = service.ingress.__serve_build_asgi_app__()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            stuck = [asyncio.ensure_future(client.post("/v1/encode", json={"payload": 1})) for _ in range(2)]
            await asyncio.sleep(0.2)
            answers = [await client.post("/v1/encode", json={"payload": 1}), await client.get("/healthz")]
            answers += [await client.get("/v1/versions"), await client.get("/docs")]
            for one_ in stuck:
                one_.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
        return [answer.status_code for answer in answers]

    full, health, *others = asyncio.run(run())
    assert (full, others) == (429, [200, 200])
    assert health != 429


# --- what is answered before its body is there --------------------------------------------------------------------


def closes(answer):
    return answer.headers.get("connection") == "close"


async def endless():
    while True:
        await asyncio.sleep(0)
        yield b"x" * 1000


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/v1/encode", {"headers": OCTETS}, 413),
        ("/v1/encode", {"headers": {"Content-Type": "text/plain"}}, 415),
        ("/v1/nothing", {}, 404),
        ("/v1/encode?kind=xml", {"headers": OCTETS}, 400),
    ],
)
def test_a_connection_that_goes_on_sending_is_closed(in_process, path, options, status):
    answer = in_process(max_body_bytes=10_000)("POST", path, content=endless(), **options)
    assert (answer.status_code, closes(answer)) == (status, True)


@pytest.mark.parametrize(("rest_bytes", "pieces"), [(10**6, 50), (5000, 16)])
def test_an_answer_is_given_time_to_arrive(in_process, monkeypatch, rest_bytes, pieces):
    """The rest of a body is read behind the answer, as far as that may be, and then the answer ends."""
    monkeypatch.setattr(request_log, "_REST_BYTES", rest_bytes)
    app = in_process(max_body_bytes=10_000).ingress.__serve_build_asgi_app__()
    headers = [(b"host", b"127.0.0.1"), (b"transfer-encoding", b"chunked"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/encode", "query_string": b"", "headers": headers}
    events = []

    async def receive():
        events.append("received")
        return {"type": "http.request", "body": b"x" * 1000, "more_body": events.count("received") < 50}

    async def send(message):
        events.append(message.get("status", (bool(message.get("body")), message.get("more_body", False))))

    asyncio.run(app(scope, receive, send))
    assert events.count("received") == pieces
    assert [event for event in events if event != "received"] == [413, (True, True), (False, False)]
    assert events.index((True, True)) < 16
    assert events[-1] == (False, False)


def test_who_has_no_key_goes_on_sending(in_process):
    ask = in_process(api_keys=[entry("writer", "a key", "encode")])
    answer = ask("POST", "/v1/encode", content=endless(), headers=OCTETS)
    assert (answer.status_code, closes(answer)) == (401, True)
    answer = ask("POST", "/v1/encode", content=b"x" * 1000, headers=OCTETS)
    assert (answer.status_code, closes(answer)) == (401, False)  # little is left, which is read


def test_connections_of_others_stay(in_process):
    ask = in_process()
    for method, path, content in (("POST", "/v1/encode", b"{"), ("POST", "/v1/encode", b'{"payload": 1}')):
        assert not closes(ask(method, path, content=content))
    assert not closes(ask("GET", "/v1/versions"))


# --- large answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [False, True])
def test_large_answers_are_not_written_on_the_loop(in_process, monkeypatch, batch):
    from nbmf import Codec
    from nbmf.wire import to_wire

    threads, function = [], bodies.decoded_json

    def told(*arguments):
        threads.append(threading.current_thread())
        return function(*arguments)

    monkeypatch.setattr(bodies, "decoded_json", told)
    blob = to_wire(Codec().encode("x" * 90_000))["bytes_base64"]
    assert len(blob) < off_loop.LARGE_BYTES
    fields = {"blobs": [blob]} if batch else {"blob": blob}
    assert in_process()("POST", "/v1/decode", json=fields).status_code == 200
    (thread,) = threads
    assert thread.name.startswith("bodies")


def test_blobs_that_declare_too_much_together(in_process):
    from nbmf import Codec
    from nbmf.wire import to_wire

    blob = to_wire(Codec().encode("x" * 60_000))["bytes_base64"]
    ask = in_process(max_payload_bytes=100_000, max_batch_payload_bytes=150_000)
    assert ask("POST", "/v1/decode", json={"blobs": [blob] * 2}).status_code == 200
    answer = ask("POST", "/v1/decode", json={"blobs": [blob] * 3})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "batch_too_large")
