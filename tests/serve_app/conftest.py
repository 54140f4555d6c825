"""One service of the trained version, on real Serve, for all tests of this folder; and services without Ray."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from functools import cached_property, partial

import httpx
import pytest
from octets import OCTETS

from nbmf import json_text

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Service:
    """A running service, its limits, and a client for it."""

    url: str
    grpc_address: str
    config: object
    client: httpx.Client

    def json(self, path, fields):
        """Posts JSON that may be deeper or longer than the standard library takes; (status, fields)."""
        body = fields if isinstance(fields, bytes) else json_text.dumps(fields).encode("utf-8", "backslashreplace")
        answer = self.client.post(path, content=body, headers=JSON)
        return answer.status_code, json_text.loads(answer.text)

    def octets(self, path, body, **parameters):
        return self.client.post(path, content=body, headers=OCTETS, params=parameters)

    def error(self, answer, status, code):
        """Checks that an answer is the error that a program can read, and returns its message."""
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
        fields = answer.json()
        assert fields.keys() == {"error"}
        assert fields["error"].keys() == {"code", "message", "request_id"}
        assert answer.headers.get_list("X-Request-Id") == [fields["error"]["request_id"]]
        assert fields["error"]["code"] == code, fields
        assert fields["error"]["message"]
        return fields["error"]["message"]


def free_ports(count):
    """TCP ports that nobody listens on now."""
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in sockets]


def _sizes(config):
    return {**config.model_dump(), "max_replicas": 1, "num_cpus": 0.3}


@pytest.fixture(scope="session")
def serve_looks_often(ray_session):
    """By default every second whether an application runs, and every two whether a replica may end."""
    from ray import serve
    from ray.serve._private import client

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "CLIENT_POLLING_INTERVAL_S", 0.1)
        patch.setattr(serve, "deployment", partial(serve.deployment, graceful_shutdown_wait_loop_s=0.1))
        yield


@pytest.fixture(scope="session")
def service(version, serve_looks_often):
    from cluster import config as configuration
    from serve_app.config import DEFAULT_FILE, ServeConfig
    from serve_app.deploy.deploy import deploy, undeploy

    ports = dict(zip(("port", "grpc_port"), free_ports(2), strict=True))
    packaged = configuration.load(ServeConfig, None, DEFAULT_FILE)
    small = {name: _sizes(getattr(packaged, name)) for name in ("ingress", "encoder", "decoder")}
    limits = {"max_body_bytes": 1_000_000, "max_payload_bytes": 500_000, "max_batch_records": 50}
    config = configuration.load(ServeConfig, None, DEFAULT_FILE, {**ports, **limits, **small})
    url = deploy(config, version.registry)
    with contextlib.closing(httpx.Client(base_url=url, timeout=60)) as client:
        yield Service(url, f"127.0.0.1:{config.grpc_port}", config, client)
    undeploy()


@dataclass(frozen=True)
class ServiceInProcess:
    """The ingress in this process, asked through ASGI. Serve's own part of a request is not there."""

    ingress: object

    @cached_property
    def _app(self):
        return self.ingress.__serve_build_asgi_app__()

    def __call__(self, method, path, **options):
        transport = httpx.ASGITransport(self._app)

        async def send():
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())


@pytest.fixture
def in_process(tmp_path, monkeypatch):
    """A function: a service in this process, of no version, with other settings, or other replicas, than the usual."""
    from in_process import make_ingress, make_replicas

    from cluster.registry import Registry
    from nbmf import engine

    monkeypatch.setattr(engine, "_engine", None)  # which a replica sets, for its process
    registry = Registry(tmp_path / "registry").location
    encoder, decoder = make_replicas(registry, "none")

    made = []

    def make(encode=encoder.encode, decode=decoder.decode, **how):
        made.append(ServiceInProcess(make_ingress(registry, "none", encode, decode, **how)))
        return made[-1]

    yield make
    for service in made:
        service.ingress._reader.close()
