"""Both clients against answers made up: what is sent, what is tried again, what is an error; and one interface."""

import datetime
import inspect
import json
import math
import random

import httpx
import pytest
from clients import BLOB, QUICK, InThisLoop, both, encoded, mocked, service

from nbmf import Codec
from nbmf.client import (
    AsyncClient,
    BadAnswer,
    Client,
    ClientConfigError,
    CodecClient,
    ConnectionLost,
    DeadlineExceeded,
    LocalClient,
    RetryPolicy,
    Unauthorized,
    Version,
)
from nbmf.errors import UnsupportedPayload
from nbmf.vectors.changed import Coded
from nbmf.wire import to_wire


@both
def test_what_is_sent(make, monkeypatch):
    monkeypatch.delenv("NBMF_API_KEY", raising=False)
    seen = []

    def respond(request):
        seen.append(request)
        return encoded(request)

    with mocked(make, respond, api_key="k1", timeout_s=7) as client:
        assert client.encode("x", "lossless", key="k", effort="auto", latency_budget_ms=2.5, timeout_s=3) == BLOB
        assert client.encode({"a": -0.0}) == BLOB
    first, second = seen
    assert (first.method, first.url.path) == ("POST", "/base/v1/encode")
    assert dict(first.url.params) == {"effort": "auto", "latency_budget_ms": "2.5"}
    assert json.loads(first.content) == {"payload": "x", "key": "k"}
    assert first.headers["Authorization"] == "Bearer k1"
    assert first.headers["Content-Type"] == "application/json"
    assert 2000 < int(first.headers["X-Request-Timeout-Ms"]) <= 3000
    assert second.content == b'{"payload":{"a":-0.0}}'
    assert second.url.query == b""
    assert 6000 < int(second.headers["X-Request-Timeout-Ms"]) <= 7000
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


@both
def test_url_and_key_from_the_environment(make, monkeypatch):
    monkeypatch.setenv("NBMF_URL", "http://elsewhere:9/")
    monkeypatch.setenv("NBMF_API_KEY", "k2")

    def respond(request):
        assert request.url == "http://elsewhere:9/v1/versions"
        assert request.headers["Authorization"] == "Bearer k2"
        row = {"id": "ab", "channels": ["stable"], "name": "n", "measured": {"ratio": 2}}
        damaged = {"id": "cd", "channels": [], "error": {"code": "damaged_codec", "message": "cut"}}
        return httpx.Response(200, json={"versions": [row, damaged]})

    with make(transport=httpx.MockTransport(respond)) as client:
        assert client.versions() == [
            Version("ab", ("stable",), "n", measured={"ratio": 2}),
            Version("cd", (), problem="cut"),
        ]


@pytest.mark.parametrize(
    "options",
    [{}, *({"url": url} for url in ("", "localhost:8000", "ftp://a", "http://a:port", "http://a/?b=c", "http://a/#b"))],
)
@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_no_url(cls, options, monkeypatch):
    monkeypatch.delenv("NBMF_URL", raising=False)
    with pytest.raises(ClientConfigError, match="URL"):
        cls(**options)


@pytest.mark.parametrize("key", ["secret\n", "secret ", " secret", "secr\u00e9t", "secret\r\nX-Other: 1"])
def test_a_key_that_no_header_holds(key):
    with pytest.raises(ClientConfigError) as caught, Client("http://127.0.0.1:1", api_key=key) as client:
        client.versions()
    assert "secret" not in str(caught.value)


def test_a_key_and_a_password():
    """Both would be the header Authorization."""
    with pytest.raises(ClientConfigError, match="API key"):
        Client("http://reader:secret@test", api_key="k")


@pytest.mark.parametrize("options", [{"max_retries": -1}, {"first_pause_s": float("nan")}, {"longest_pause_s": -0.1}])
def test_a_policy_that_cannot_be(options):
    with pytest.raises(ClientConfigError):
        RetryPolicy(**options)


@pytest.mark.parametrize("connect_timeout_s", [0, -1, float("nan")])
def test_a_connect_timeout_that_cannot_be(connect_timeout_s):
    with pytest.raises(ClientConfigError, match="connect_timeout_s"):
        Client("http://test", connect_timeout_s=connect_timeout_s)


@both
def test_a_password_in_the_url_is_in_no_message(make, free_port):
    with make(f"http://reader:secret@127.0.0.1:{free_port}", retries=QUICK) as client:
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1") as caught:
            client.encode("x")
        assert "secret" not in str(caught.value)
    with pytest.raises(ClientConfigError) as caught:
        make("ftp://reader:secret@test")
    assert "secret" not in str(caught.value)


@both
@pytest.mark.parametrize("date", [False, True])
def test_overload_passes(make, date):
    requests = []
    after = "Mon, 01 Jan 2024 00:00:00 GMT" if date else "0"

    def respond(request):
        requests.append(request)
        if len(requests) < 3:
            return httpx.Response(503, text="busy", headers={"Retry-After": after})
        return encoded(request)

    with mocked(make, respond) as client:
        assert client.encode("x") == BLOB
    assert len({r.headers["X-Request-Id"] for r in requests}) == 1
    assert len(requests) == 3


@both
def test_errors_have_the_request_id(make):
    def respond(request):
        detail = {"code": "unauthorized", "message": "no key", "request_id": "r7"}
        return httpx.Response(401, json={"error": detail}, headers={"X-Request-Id": "r7"})

    with (
        mocked(make, respond) as client,
        pytest.raises(Unauthorized, match=r"no key \(HTTP 401, request r7\)") as found,
    ):
        client.decode(BLOB)
    assert (found.value.status, found.value.request_id) == (401, "r7")


@both
def test_connections_that_break(make):
    failures = [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.RemoteProtocolError("closed")]
    left = list(failures)

    def respond(request):
        if left:
            raise left.pop()
        return encoded(request)

    with mocked(make, respond) as client:
        assert client.encode("x") == BLOB
        left[:] = failures * 2
        with pytest.raises(ConnectionLost, match="http://test/base: ") as caught:
            client.encode("x")
    assert caught.value.request_id
    assert isinstance(caught.value.__cause__, httpx.TransportError)
    assert len(left) == 1


@both
@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.PoolTimeout("full")])
def test_an_answer_that_is_too_late(make, error):
    def respond(request):
        raise error

    with mocked(make, respond) as client, pytest.raises(DeadlineExceeded):
        client.encode("x")


NO_VERSIONS = [{}, {"versions": None}, {"versions": {"a": 1}}, {"versions": [{}]}]


@both
def test_something_else_at_the_url(make):
    answers = [
        httpx.Response(404, text="<h1>no</h1>"),
        httpx.Response(302, headers={"Location": "http://x/"}),
        *(httpx.Response(200, json=fields) for fields in NO_VERSIONS),
    ]
    with mocked(make, lambda _: answers.pop(0)) as client:
        with pytest.raises(BadAnswer, match="<h1>no</h1>"):
            client.encode("x")
        for _ in range(1 + len(NO_VERSIONS)):
            with pytest.raises(BadAnswer):
                client.versions()


@both
def test_health(make):
    answers = [httpx.Response(200, json={"status": "ok"}), httpx.Response(503, text="down")]
    with mocked(make, lambda _: answers.pop(0)) as client:
        assert client.health().ok
        health = client.health()
    assert (health.ok, health.problem) == (False, "down (HTTP 503)")


@both
@pytest.mark.parametrize(
    "options", [{"fidelity": "x"}, {"effort": "x"}, {"effort": "max", "latency_budget_ms": 3}, {"latency_budget_ms": 0}]
)
def test_options_that_no_codec_takes(make, options):
    with mocked(make, encoded) as client, LocalClient(Codec()) as local:
        for one in (client, local):
            with pytest.raises(ValueError, match=next(iter(options))):
                one.encode("x", **options)
            with pytest.raises(ValueError, match=next(iter(options))):
                one.encode_batch(["x"], **options)


@both
def test_fidelity_goes_with_each_record(make):
    bodies = []

    def respond(request):
        bodies.append(json.loads(request.content))
        return service(request)

    with mocked(make, respond) as client:
        client.encode("x", "semantic", key="k")
        client.encode("x")
        client.encode_batch(["x", "y"], "semantic", keys=[None, "k"])
    assert bodies == [
        {"payload": "x", "key": "k", "fidelity": "semantic"},
        {"payload": "x"},
        {"records": [{"payload": "x", "fidelity": "semantic"}, {"payload": "y", "key": "k", "fidelity": "semantic"}]},
    ]


def test_the_local_client_keeps_vectors_near():
    vector = [math.sin(n) for n in range(100)]
    with LocalClient(Codec()) as local:
        blob = local.encode({"v": vector}, "semantic")
        assert local.encode_batch([{"v": vector}], "semantic") == [blob]
    assert blob == Codec().encode({"v": vector}, "semantic") != Codec().encode({"v": vector})


# --- values that JSON has not ------------------------------------------------------------------------------------


def _written(value):
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    if isinstance(value, set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form")


def _read(fields):
    return datetime.date.fromisoformat(fields["date"]) if "date" in fields else fields


@pytest.mark.parametrize("make", [Client, InThisLoop, LocalClient])
def test_a_rule_of_the_callers_own(make):
    state = {"due": datetime.date(2026, 3, 9), "seen": {2, 1}, "steps": [{"on": datetime.date(2026, 3, 10)}]}
    back = state | {"seen": [1, 2]}
    with LocalClient(Codec()) if make is LocalClient else mocked(make, service) as client:
        blob = client.encode(state, default=_written)
        assert client.decode(blob, object_hook=_read) == back
        assert client.decode(blob)["due"] == {"date": "2026-03-09"}
        *blobs, error = client.encode_batch([state, "x", {"n": [1j]}], default=_written)
        assert client.decode_batch(blobs, object_hook=_read) == [back, "x"]
        assert isinstance(error, UnsupportedPayload)
        assert "$.n[0]" in str(error)
        assert "complex has no form" in str(error)
        with pytest.raises(UnsupportedPayload, match="due"):
            client.encode(state)


# --- one interface ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Client, AsyncClient, LocalClient])
def test_all_clients_have_the_same_methods(cls):
    names = [name for name, value in vars(CodecClient).items() if inspect.isfunction(value) and name[0] != "_"]
    assert len(names) == 8
    for name in names:
        wanted = inspect.signature(getattr(CodecClient, name))
        assert inspect.signature(getattr(cls, name)) == wanted, name
        assert inspect.iscoroutinefunction(getattr(cls, name)) == (cls is AsyncClient)


def test_type_checkers_accept_both():
    clients: list[CodecClient] = [Client("http://test"), LocalClient()]
    for client in clients:
        client.close()


def embeddings(count):
    rng = random.Random(1)
    return [[rng.gauss(0, 1) for _ in range(64)] for _ in range(count)]


@both
def test_what_fidelity_semantic_changed(make):
    payloads = [{"embedding": vector} for vector in embeddings(3)] + ["words", {1}]
    with mocked(make, service, max_batch_records=2) as client, LocalClient(Codec()) as local:
        *coded, text, error = client.encode_measured(payloads, "semantic")
        *own, _, _ = local.encode_measured(payloads, "semantic")
        assert [one.blob for one in coded] == client.encode_batch(payloads, "semantic")[:3]
        assert client.encode_measured(payloads[:1]) == [Coded(local.encode(payloads[0]))]
    assert text == Coded(Codec().encode("words"))
    assert isinstance(error, UnsupportedPayload)
    for found, here in zip(coded, own, strict=True):
        assert found.blob == here.blob
        assert found.changed.similarity() == here.changed.similarity()
        assert 0.98 < found.changed.cosine_min < 1
        assert found.changed.lossless_bytes is None
        assert here.changed.lossless_bytes > 2 * len(here.blob)


@both
@pytest.mark.parametrize(
    "similarity",
    [
        7,
        {},
        {"vectors": 1, "cosine_mean": 0.99},
        {"vectors": 0, "cosine_mean": 0.99, "cosine_min": 0.99},
        {"vectors": 1, "cosine_mean": "a", "cosine_min": 0.99},
        {"vectors": 1, "cosine_mean": 0.98, "cosine_min": 0.99},
        {"vectors": 1, "cosine_mean": None, "cosine_min": None},
    ],
)
def test_a_similarity_that_is_none(make, similarity):
    good = {"blob": to_wire(BLOB)["bytes_base64"]}
    answer = {"results": [good | {"similarity": similarity}, good]}
    with mocked(make, lambda _: httpx.Response(200, json=answer)) as client:
        bad, coded = client.encode_measured(["x", "x"], "semantic")
        assert client.encode_batch(["x", "x"], "semantic") == [BLOB, BLOB]
    assert isinstance(bad, BadAnswer)
    assert "similarity" in str(bad)
    assert coded == Coded(BLOB)
