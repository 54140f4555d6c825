"""Both clients against small servers on real sockets: connections that drop, that a fork inherits, TLS, deadlines."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from certificates import Authority
from clients import BLOB, QUICK, both

from nbmf.client import (
    AsyncClient,
    BadAnswer,
    Client,
    ConnectionLost,
    DeadlineExceeded,
)
from nbmf.wire import to_wire


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
