"""`nbmf serve` with TLS, in a process and a Ray session of its own: who is answered, over HTTP and gRPC."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess

import grpc
import httpx
import pytest
import yaml
from certificates import Authority

from cluster import config as configuration
from nbmf.client import BadAnswer, Client, Forbidden
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.grpc.nbmf_pb2_grpc import CodecStub

pytestmark = pytest.mark.slow
RECORD = {"note": "Remember the milk."}
TIMEOUT_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls files")  # with a space, which HAProxy could not read


@pytest.fixture(scope="module")
def authority(folder):
    return Authority(folder)


@pytest.fixture(scope="module")
def client_files(authority):
    return authority.issue("agent")


@pytest.fixture(scope="module")
def config(authority, folder, version):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = {"port": one.getsockname()[1], "grpc_port": two.getsockname()[1]}
    certificate, key = authority.issue("server")
    tls = {"certificate_file": certificate.name, "key_file": key.name, "client_ca_file": authority.file.name}
    limits = {"max_body_bytes": 300_000}
    return configuration.load(ServeConfig, None, DEFAULT_FILE, {**ports, **limits, "tls": tls})


@pytest.fixture(scope="module")
def url(config, folder, version, console_script, home):
    """Of the running service. Paths in its configuration are relative, to its working directory."""
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [console_script, "serve", "--registry", version.registry.location, "--config", file.name]
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as server:
        try:
            line = server.stdout.readline().decode()
            assert line.startswith(f"Serving on https://127.0.0.1:{config.port} "), (line, server.stderr.read())
            yield f"https://127.0.0.1:{config.port}"
            server.send_signal(signal.SIGTERM)
            out, err = server.communicate(timeout=90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
    assert (server.returncode, out) == (0, b"Stopping.\n")
    assert b"Traceback" not in err


@pytest.fixture(scope="module")
def trusted(authority, client_files):
    """TLS of a client that trusts the service's CA, and has a certificate."""
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(*client_files)
    return context


def test_a_client_with_a_certificate_is_answered(url, trusted):
    with Client(url, verify=trusted) as client:
        assert client.decode(client.encode(RECORD)) == RECORD
        assert client.health().ok
    with httpx.Client(base_url=url, verify=trusted, timeout=TIMEOUT_S) as client:
        too_large = client.post("/v1/encode", content=b"x" * 400_000, headers={"Content-Type": "application/json"})
        assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "body_too_large")


def test_without_a_certificate_only_the_health_check_is(url, authority):
    context = ssl.create_default_context(cafile=authority.file)
    with Client(url, verify=context) as client, pytest.raises(Forbidden, match="client certificate") as caught:
        client.encode(RECORD)
    assert caught.value.request_id
    with httpx.Client(base_url=url, verify=context, timeout=TIMEOUT_S) as client:
        assert client.get("/-/healthz").text == "success"
        for path in ("/", "/healthz", "/docs", "/-/routes", "/-/healthz/", "//-/healthz"):
            assert client.get(path).status_code == 403, path


def test_a_certificate_of_another_authority_is_refused(url, authority, folder):
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(*Authority(folder / "other", "other").issue("stranger"))
    with httpx.Client(base_url=url, verify=context, timeout=TIMEOUT_S) as client, pytest.raises(httpx.TransportError):
        client.get("/-/healthz")


def test_a_client_that_trusts_another_authority_says_nothing(url, folder):
    elsewhere = Authority(folder / "elsewhere", "elsewhere")
    context = ssl.create_default_context(cafile=elsewhere.file)
    with Client(url, verify=context) as client, pytest.raises(BadAnswer, match="CERTIFICATE_VERIFY_FAILED"):
        client.encode(RECORD)


def test_plain_text_is_not_answered(url, config):
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url.replace("https:", "http:") + "/-/healthz", timeout=TIMEOUT_S)
    with grpc.insecure_channel(f"127.0.0.1:{config.grpc_port}") as channel, pytest.raises(grpc.RpcError) as caught:
        CodecStub(channel).Encode(pb.EncodeRequest(), timeout=TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.usefixtures("url")
def test_grpc(config, authority, client_files):
    certificate, key = (file.read_bytes() for file in client_files)
    roots = authority.file.read_bytes()
    request = pb.EncodeRequest(record=pb.Record(payload=pb.Payload(text=b"x")))
    with grpc.secure_channel(
        f"localhost:{config.grpc_port}", grpc.ssl_channel_credentials(roots, key, certificate)
    ) as channel:
        blob = CodecStub(channel).Encode(request, timeout=TIMEOUT_S).blob
        assert CodecStub(channel).Decode(pb.DecodeRequest(blob=blob), timeout=TIMEOUT_S).payload.text == b"x"
    with (
        grpc.secure_channel(f"localhost:{config.grpc_port}", grpc.ssl_channel_credentials(roots)) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        CodecStub(channel).Encode(request, timeout=TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
