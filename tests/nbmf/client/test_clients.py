"""Both clients against small fake servers: what is sent, connections that drop, deadlines."""

import asyncio
import inspect
import json
import socket
import ssl
import subprocess
import sys
import threading

import httpx
import pytest
from certificates import Authority

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
from nbmf.wire import to_wire

QUICK = RetryPolicy(first_pause_s=0.001)
BLOB = Codec().encode("x")


class InThisLoop:
    """An AsyncClient, called as a Client."""

    def __init__(self, *args, **options):
        self._client = AsyncClient(*args, **options)
        self._runner = asyncio.Runner()

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *args, **options: self._runner.run(method(*args, **options))

    def __enter__(self):
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.__aexit__())
        self._runner.close()


both = pytest.mark.parametrize("make", [Client, InThisLoop], ids=["sync", "async"])


def mocked(make, respond, **options):
    options = {"retries": QUICK, **options}
    return make("http://test/base", transport=httpx.MockTransport(respond), **options)


def encoded(request):
    return httpx.Response(200, json={"blob": to_wire(BLOB)["bytes_base64"]})


@both
def test_what_is_sent(make, monkeypatch):
    monkeypatch.delenv("NBMF_API_KEY", raising=False)
    seen = []

    def respond(request):
        seen.append(request)
        return encoded(request)

    with mocked(make, respond, api_key="k1", timeout_s=7) as client:
        assert client.encode("x", "semantic", key="k", effort="auto", latency_budget_ms=2.5, timeout_s=3) == BLOB
        assert client.encode({"a": -0.0}) == BLOB
    first, second = seen
    assert (first.method, first.url.path) == ("POST", "/base/v1/encode")
    assert dict(first.url.params) == {"effort": "auto", "latency_budget_ms": "2.5"}
    assert json.loads(first.content) == {"payload": "x", "fidelity": "semantic", "key": "k"}
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


# --- real sockets -------------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    """Starts a server that treats each connection as a function says, and gives its URL and the connections seen."""
    listeners = []

    def start(handle):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        connections = []

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(connection)
                threading.Thread(target=handle, args=(connection, len(connections)), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}", connections

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    (size,) = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while len(body) < size:
        body += connection.recv(65536)
    return body


CONTENT = json.dumps({"blob": to_wire(BLOB)["bytes_base64"]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)


def serve(connection, number):
    with connection:
        while read_request(connection) is not None:
            connection.sendall(HEAD + CONTENT)


@both
def test_a_connection_is_used_again(make, server):
    url, connections = server(serve)
    with make(url) as client:
        for _ in range(5):
            assert client.encode("x") == BLOB
    assert len(connections) == 1


FORKS = """
import os, sys
from nbmf.client import Client
client = Client(sys.argv[1])
client.encode("x")
child = os.fork()
client.encode("x")
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""


def test_a_process_that_forks_shares_no_connection_with_its_child(server):
    """Each would read the other's answers."""
    url, connections = server(serve)
    subprocess.run([sys.executable, "-c", FORKS, url], check=True)
    assert len(connections) == 2


@both
@pytest.mark.parametrize("sent", [b"", HEAD[:30], HEAD + CONTENT[:10]], ids=["before", "in the head", "in the body"])
def test_a_connection_that_drops(make, server, sent):
    def drop_twice(connection, number):
        if number > 2:
            serve(connection, number)
            return
        with connection:
            read_request(connection)
            connection.sendall(sent)

    url, connections = server(drop_twice)
    with make(url, retries=QUICK) as client:
        assert client.encode("x") == BLOB
    assert len(connections) == 3


@both
def test_a_service_that_goes_away_and_one_that_never_was(make, server, free_port):
    with make(f"http://127.0.0.1:{free_port}", retries=QUICK) as client:
        with pytest.raises(ConnectionLost):
            client.encode("x")
        assert not client.health().ok


@both
def test_tls(make, server, tmp_path):
    """An authority of one's own is trusted by `verify`; a server that has no certificate of it is asked once only."""
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("server"))

    def serve_by_tls(connection, number):
        try:
            secured = context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, OSError):  # the client ended it
            connection.close()
        else:
            serve(secured, number)

    url, connections = server(serve_by_tls)
    url = url.replace("http:", "https:")
    with make(url, verify=ssl.create_default_context(cafile=authority.file)) as client:
        assert client.encode("x") == BLOB
    for verify in (True, ssl.create_default_context(cafile=Authority(tmp_path / "other").file)):
        connections.clear()
        with make(url, verify=verify, retries=QUICK) as client, pytest.raises(BadAnswer, match="CERTIFICATE_VERIFY"):
            client.encode("x")
        assert len(connections) == 1


@both
@pytest.mark.parametrize("drip", [False, True], ids=["silent", "a byte at a time"])
def test_a_server_that_does_not_come_to_an_end(make, server, drip):
    over = threading.Event()

    def never(connection, number):
        with connection:
            read_request(connection)
            connection.sendall(HEAD)
            for at in range(len(CONTENT) - 1):
                if over.wait(0.05 if drip else 60):
                    return
                connection.sendall(CONTENT[at : at + 1])

    url, connections = server(never)
    with make(url, timeout_s=0.3) as client, pytest.raises(DeadlineExceeded):
        client.encode("x")
    over.set()
    assert len(connections) == 1


def test_many_threads_share_a_client(server):
    url, _ = server(serve)
    results = []
    with Client(url) as client:
        threads = [threading.Thread(target=lambda: results.append(client.encode("x"))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [BLOB] * 16


def test_a_cancelled_task_leaves_the_client_usable(server):
    silent = threading.Event()

    def first_is_silent(connection, number):
        if number == 1:
            silent.wait(60)
        serve(connection, number)

    url, _ = server(first_is_silent)

    async def main():
        async with AsyncClient(url) as client:
            task = asyncio.create_task(client.encode("x"))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await client.encode("x")

    assert asyncio.run(main()) == BLOB
    silent.set()


# --- one interface ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Client, AsyncClient, LocalClient])
def test_all_clients_have_the_same_methods(cls):
    names = [name for name, value in vars(CodecClient).items() if inspect.isfunction(value) and name[0] != "_"]
    assert len(names) == 7
    for name in names:
        wanted = inspect.signature(getattr(CodecClient, name))
        assert inspect.signature(getattr(cls, name)) == wanted, name
        assert inspect.iscoroutinefunction(getattr(cls, name)) == (cls is AsyncClient)


def test_type_checkers_accept_both():
    clients: list[CodecClient] = [Client("http://test"), LocalClient()]
    for client in clients:
        client.close()
