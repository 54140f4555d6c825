"""What is checked before a server is started, and the command."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import httpx
import pytest
import registries

from cluster import config as configuration
from cluster.errors import VersionNotFound
from cluster.registry import Registry
from nbmf import engine
from nbmf.errors import DamagedCodec
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.deploy.deploy import resolve_version


def _config(version):
    return configuration.load(ServeConfig, None, DEFAULT_FILE, {"version": version})


def test_versions_by_name(version):
    assert resolve_version(_config("stable"), version.registry) == version.id
    assert resolve_version(_config(version.id[:8]), version.registry) == version.id
    assert resolve_version(_config("none"), version.registry) == "none"
    with pytest.raises(VersionNotFound):
        resolve_version(_config("candidate"), version.registry)


def test_an_empty_registry(tmp_path, error_of):
    with pytest.raises(VersionNotFound, match="train one first"):
        resolve_version(_config("stable"), Registry(tmp_path))


def test_a_damaged_version_is_found_before_the_start(tmp_path):
    registry = Registry(tmp_path / "registry")
    manifest = {"name": "x", "created_at": "2026-01-01", "architecture": "none"}
    version_id = registries.publish(registry, manifest, {"file": b"content"})
    (tmp_path / "registry" / "versions" / version_id / "file").write_bytes(b"altered")
    with pytest.raises(DamagedCodec):
        resolve_version(_config("stable"), registry)


@pytest.mark.usefixtures("ray_session")
def test_user_errors_of_the_command(tmp_path, error_of):
    assert error_of("serve", "--registry", tmp_path, "--codec", "stable").startswith("nbmf: version_not_found:")
    message = error_of("serve", "--registry", tmp_path, "--config", tmp_path / "no.yaml")
    assert message.startswith("nbmf: config_error:")
    assert "no.yaml" in message


@pytest.mark.usefixtures("ray_session")
def test_an_engine_that_is_not_installed(tmp_path, error_of, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    message = error_of("serve", "--registry", tmp_path, "--engine", "torch")
    assert message.startswith("nbmf: engine_missing:")
    assert "pip install" in message


@pytest.mark.usefixtures("ray_session")
def test_a_server_that_is_open_to_others_is_warned_of(tmp_path, nbmf_command):
    def warnings(*options):
        result = nbmf_command("serve", "--registry", tmp_path, "--codec", "stable", *options)
        assert "version_not_found" in result.err
        return [line for line in result.err.splitlines() if "warning" in line]

    (line,) = warnings("--host", "0.0.0.0")
    assert "0.0.0.0" in line
    assert "nbmf api-key new" in line
    assert warnings() == warnings("--host", "::1") == []
    (line,) = warnings("--grpc-port", "9000")  # Ray's replicas listen for it on all addresses
    assert "gRPC" in line


def test_serve_that_listens_elsewhere_is_no_place_for_a_service(service, version, error_of, free_port):
    message = error_of("serve", "--registry", version.registry.location, "--port", free_port)
    assert message.startswith("nbmf: session_error:")
    assert f"listens on 127.0.0.1:{service.config.port}" in message


@pytest.mark.parametrize(
    "option",
    [
        ("--engine", "gpu"),
        ("--threads", "0"),
        ("--port", "0"),
        ("--port", "70000"),
        ("--port", "http"),
        ("--prot", "1"),
    ],
)
def test_wrong_usage(nbmf_command, option):
    result = nbmf_command("serve", *option)
    assert result.code == 2
    assert "Traceback" not in result.err


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(version, console_script, clean_environment, free_port):
    """In a process and a Ray session of its own."""
    command = [console_script, "serve", "--registry", version.registry.location, "--port", str(free_port)]
    with subprocess.Popen(
        command, env=clean_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as server:
        try:
            assert server.stdout.readline().decode().startswith(f"Serving on http://127.0.0.1:{free_port}")
            url = f"http://127.0.0.1:{free_port}"
            assert httpx.post(f"{url}/v1/encode", json={"payload": "x"}, timeout=30).status_code == 200
            server.send_signal(signal.SIGINT)
            out, err = server.communicate(timeout=90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
    assert (server.returncode, out) == (0, b"Stopping.\n")
    assert b"Traceback" not in err
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", free_port)) != 0:
                return
        time.sleep(0.2)
    pytest.fail("the port is still open")
