"""Replicas of the ingress that are lost with a request: what the real HAProxy, as Serve starts it, does for clients."""

import json
import os
import re
import socket
import stat
import subprocess
import threading
import time

import grpc
import httpx
import pytest
from ray.serve._private.common import RequestProtocol
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions, gRPCOptions

from cluster.session import free_port
from serve_app.grpc.nbmf_pb2 import VersionsRequest
from serve_app.grpc.nbmf_pb2_grpc import CodecStub
from serve_app.tls.haproxy import UnknownConfiguration, with_second_try


def answer(status, media_type, body):
    head = (
        f"HTTP/1.1 {status} x\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


GOOD = answer(200, "application/json", b'{"blob": "x"}')
OF_SERVE = answer(500, "text/plain", b"Internal Server Error")
OF_THE_SERVICE = answer(500, "application/json", b'{"error": {"code": "internal_error"}}')


class Replica:
    """Reads a request on each connection, answers it as it is told to, or not at all, and closes."""

    def __init__(self, answer):
        self.answer, self.requests, self.heads = answer, [], []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                stream = connection.makefile("rb")
                head = b"".join(iter(stream.readline, b"\r\n"))
                length = re.search(rb"content-length: (\d+)", head)
                stream.read(int(length[1]) if length else 0)
                path = head.split(b" ", 2)[1].decode()
                if path == "/-/healthz":
                    connection.sendall(answer(200, "text/plain", b"success"))
                    continue
                if path != "*":  # Serve's check of gRPC
                    self.requests.append(path)
                    self.heads.append(head.decode("latin-1").lower())
                connection.sendall(self.answer)

    def close(self):
        self._server.close()


class Front:
    """A service's HAProxy before these replicas."""

    def __init__(self, program, folder, replicas):
        self.socket = folder / "admin.sock"
        self.port, self.grpc_port = free_port(), free_port()
        config = HAProxyConfig(
            http_options=HTTPOptions(host="127.0.0.1", port=self.port),
            grpc_options=gRPCOptions(port=self.grpc_port, grpc_servicer_functions=["a function"]),
            socket_path=str(self.socket),
            metrics_port=free_port(),
            stats_port=free_port(),
        )
        file = folder / "haproxy.cfg"
        api = HAProxyApi(config, config_file_path=str(file))
        ports = [replica.port for replica in replicas] or [free_port()]
        servers = [ServerConfig(name=f"replica{port}", host="127.0.0.1", port=port) for port in ports]
        backends = [
            BackendConfig(app_name="nbmf", name=protocol.value, path_prefix="/", servers=servers, protocol=protocol)
            for protocol in (RequestProtocol.HTTP, RequestProtocol.GRPC)
        ]
        api.backend_configs = {backend.name: backend for backend in backends}
        api._generate_config_file_internal()
        # These replicas speak no gRPC: a check would find them down.
        text, changed = re.subn(r"( server \S+ \S+ proto h2) check.*", r"\1", file.read_text())
        assert changed == len(servers)
        file.write_text(text)
        self._process = subprocess.Popen(
            [program, "-db", "-f", str(file)], env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        end = time.monotonic() + 30
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                raise RuntimeError(self._process.stderr.read().decode())
            time.sleep(0.02)

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def ask(self, method, path, **options):
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", **options)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()


@pytest.fixture
def front(console_script, tmp_path):
    """A function: HAProxy before replicas that answer so."""
    opened = []
    program = str(console_script.with_name("nbmf-haproxy"))

    def start(*answers):
        replicas = [Replica(answer) for answer in answers]
        opened.extend(replicas)
        opened.append(Front(program, tmp_path, replicas))
        return opened[-1], replicas

    yield start
    for one in reversed(opened):
        one.close()


def error_of(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    error = answer.json()["error"]
    assert (error["code"], error["request_id"]) == (code, answer.headers["x-request-id"])
    assert error["message"]
    return error


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode?batch=true", "/some/prefix/v1/encode"])
def test_what_can_be_done_twice_is(front, path):
    haproxy, (lost, good) = front(b"", GOOD)
    for _ in range(4):
        answer = haproxy.ask("POST", path, content=b'{"payload": 1}')
        assert (answer.status_code, answer.json()) == (200, {"blob": "x"})
    assert lost.requests
    assert len(good.requests) == 4


@pytest.mark.parametrize("path", ["/v1/admin/rollout/advance", "/of/another/application"])
def test_what_cannot_is_not(front, path):
    haproxy, replicas = front(b"", b"")
    answer = haproxy.ask("POST", path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_all_are_lost(front):
    haproxy, replicas = front(b"", b"")
    answer = haproxy.ask("POST", "/v1/encode", content=b"{}", headers={"X-Request-Id": "mine-1"})
    assert error_of(answer, 503, "unavailable")["request_id"] == "mine-1"
    assert answer.headers["retry-after"] == "1"
    assert sum(len(replica.requests) for replica in replicas) > 1


def test_a_body_that_haproxy_does_not_keep(front):
    haproxy, replicas = front(b"", b"")
    error_of(haproxy.ask("POST", "/v1/encode", content=bytes(200_000)), 503, "unavailable")
    assert sum(len(replica.requests) for replica in replicas) == 1


def test_nobody_is_there(front):
    haproxy, _ = front()
    answer = haproxy.ask("POST", "/v1/encode", content=b"{}", headers={"X-Request-Id": 'a "quote"'})
    assert error_of(answer, 503, "unavailable")["request_id"] != 'a "quote"'


def test_a_500_of_serve_is_no_fault_of_the_service(front):
    haproxy, _ = front(OF_SERVE)
    error_of(haproxy.ask("POST", "/v1/encode", content=b"{}"), 503, "unavailable")
    assert haproxy.ask("POST", "/of/another/application").status_code == 500


def test_a_500_of_the_service_is(front):
    haproxy, (replica,) = front(OF_THE_SERVICE)
    answer = haproxy.ask("POST", "/v1/encode", content=b"{}")
    assert (answer.status_code, answer.json()) == (500, json.loads(OF_THE_SERVICE.partition(b"\r\n\r\n")[2]))
    assert len(replica.requests) == 1


def test_over_grpc_it_is_unavailable(front):
    haproxy, _ = front(b"", b"")
    with grpc.insecure_channel(f"127.0.0.1:{haproxy.grpc_port}") as channel, pytest.raises(grpc.RpcError) as lost:
        CodecStub(channel).Versions(VersionsRequest(), timeout=20)
    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_configuration_of_another_ray():
    for text in ("", "defaults\n    retry-on none\n", "frontend http_frontend\n    bind :1\n"):
        with pytest.raises(UnknownConfiguration):
            with_second_try(text)


# --- what a client may do ------------------------------------------------------------------------------------------


def test_only_its_user_reaches_the_socket(front):
    """By which requests, and the keys in them, could be sent elsewhere."""
    haproxy, _ = front(GOOD)
    assert stat.S_IMODE(haproxy.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(haproxy.socket.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("strange", [b"\xe9", b"\xff\xfe", "é".encode(), b"a b", b"x" * 200])
def test_headers_that_serve_would_fail_at(front, strange):
    """Serve reads them as UTF-8. An id that is none is replaced, once for all that tell it."""
    haproxy, (replica,) = front(GOOD)
    names = ("X-Request-Id", "X-Session-Id", "X-Request-Timeout-Seconds", "Serve_Multiplexed_Model_Id")
    answer = haproxy.ask("POST", "/v1/encode", content=b"{}", headers=dict.fromkeys(names, strange))
    assert answer.status_code == 200
    (head,) = replica.heads
    (request_id,) = re.findall(r"^x-request-id: (.*)\r$", head, re.MULTILINE)
    assert re.fullmatch("[0-9a-f-]{36}", request_id)
    assert head.isascii()


def test_headers_that_mean_something_stay(front):
    haproxy, (replica,) = front(GOOD)
    headers = {"X-Request-Id": "mine-1", "X-Session-Id": "me", "X-Request-Timeout-Seconds": "3"}
    haproxy.ask("POST", "/v1/encode", content=b"{}", headers=headers)
    assert all(f"{name}: {value}\r\n".lower() in replica.heads[0] for name, value in headers.items())


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"POST /v1/enc", b"POST /v1/encode HTTP/1.1\r\nHost: x\r\n"])
def test_who_does_not_say_what_he_wants_is_cut_off(front, said):
    """While nothing was said, or not all of it, a connection took one of 4,096 places, for an hour."""
    haproxy, _ = front(GOOD)
    with socket.create_connection(("127.0.0.1", haproxy.port), timeout=60) as connection:
        connection.sendall(said)
        answer = connection.recv(1000)
        assert not answer or answer.startswith(b"HTTP/1.1 408 ")
