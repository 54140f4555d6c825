"""The Ray session: the environment it needs, a running one is used, an unreachable one is a user error."""

import os
import socket
import subprocess
import sys

import pytest
import synthetic

from cluster.errors import ConfigError, SessionError
from cluster.session import _check_reachable, may_grow, own_ports, prepare_environment, session, starting, working
from migrate_job.coding import run


def test_values_that_the_user_set_stay(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("RAY_SERVE_ENABLE_HA_PROXY", raising=False)
    prepare_environment()
    assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_USAGE_STATS_ENABLED"]) == ("token", "1")
    assert os.environ["RAY_SERVE_ENABLE_HA_PROXY"] == "1"


def test_a_local_session_has_the_proxy_that_knows_of_lost_replicas(monkeypatch, console_script):
    monkeypatch.delenv("RAY_SERVE_HAPROXY_BINARY_PATH", raising=False)
    prepare_environment("auto")
    assert "RAY_SERVE_HAPROXY_BINARY_PATH" not in os.environ
    prepare_environment()
    assert os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"] == str(console_script.with_name("nbmf-haproxy"))
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", "/mine/haproxy")
    prepare_environment()
    assert os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"] == "/mine/haproxy"


def test_a_running_cluster_keeps_its_own_authentication(monkeypatch):
    for name in ("RAY_AUTH_MODE", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"):
        monkeypatch.delenv(name, raising=False)
    prepare_environment("auto")
    assert "RAY_AUTH_MODE" not in os.environ
    assert "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S" not in os.environ
    prepare_environment()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert os.environ["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] == "0"
    # setenv, so that monkeypatch puts back what was there.


def test_a_session_inside_another_leaves_it_open(ray_session):
    with session() as ray:
        assert ray is ray_session
    assert ray_session.is_initialized()


def test_modules_that_need_no_ray_do_not_import_it():
    code = (
        "import sys, cluster.session, cluster.registry, cluster.sources, cluster.cli.main, migrate_job.job;"
        "sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_does_not_answer_is_an_error_at_once(scheme):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(SessionError, match="no Ray cluster answers"):
        _check_reachable(address)


def test_auto_is_left_to_ray():
    _check_reachable("auto")


def test_ports_of_a_session_are_not_for_processes_that_it_starts(monkeypatch):
    monkeypatch.setenv("RAY_SERVE_HAPROXY_STATS_PORT", "12345")
    monkeypatch.delenv("RAY_SERVE_HAPROXY_METRICS_PORT", raising=False)
    with own_ports():
        assert int(os.environ["RAY_SERVE_HAPROXY_METRICS_PORT"]) > 0
        assert os.environ["RAY_SERVE_HAPROXY_STATS_PORT"] == "12345"
    assert "RAY_SERVE_HAPROXY_METRICS_PORT" not in os.environ
    assert os.environ["RAY_SERVE_HAPROXY_STATS_PORT"] == "12345"


STARTING = {
    "train": lambda folder: ("train", "-r", folder / "a.jsonl", "-o", folder / "registry", "--preset", "none"),
    "serve": lambda folder: ("serve", "--registry", folder / "registry"),
    "migrate": lambda folder: ("migrate", folder / "a.jsonl", folder / "new", "--registry", folder / "registry"),
    "demo": lambda folder: ("demo", "--records", folder / "a.jsonl", "--out", folder / "demo"),
}


@pytest.fixture
def ray_that_does_not_start(monkeypatch):
    """As where a machine is too busy: Ray raises a plain Exception after half a minute."""
    import ray

    def too_late(**_):
        raise Exception("The current node timed out during startup. This could happen because of …\nmore")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", too_late)


@pytest.mark.parametrize("command", STARTING)
def test_ray_that_does_not_start_is_one_message(error_of, tmp_path, ray_that_does_not_start, command, monkeypatch):
    monkeypatch.setattr(run, "LITTLE_BYTES", -1)  # else a migration of so few records needs no Ray
    synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(250, seed=3))
    message = error_of(*STARTING[command](tmp_path))
    lines = [line for line in message.splitlines() if line.startswith("nbmf: ")]
    assert len(lines) == 1
    assert lines[0].startswith(
        "nbmf: session_error: a local Ray session did not start: The current node timed out during startup."
    )
    assert "try again when it has less to do. Ray's own logs are in" in lines[0]


def test_a_cluster_that_is_not_joined_is_an_error(ray_that_does_not_start):
    expected = r"^cannot reach the Ray cluster at auto: The current .*the same versions"
    with pytest.raises(SessionError, match=expected), session("auto"):
        pass


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SessionError, match=r"Ray is not installed .*pip install 'nbmf\[cluster\]'"), session():
        pass


def test_errors_of_ours_are_left_as_they_are():
    with pytest.raises(ConfigError, match=r"^wrong$"), starting("it did not start", "wait"):
        raise ConfigError("wrong")
    with (
        pytest.raises(SessionError, match=r"^it did not start: ValueError \(wait\)$"),
        starting("it did not start", "wait"),
    ):
        raise ValueError


def test_errors_of_ray_in_the_middle_of_the_work_are_one_message():
    from ray.exceptions import WorkerCrashedError

    with (
        pytest.raises(SessionError, match=r"^Ray failed while reading: The worker died unexpectedly"),
        working("reading"),
    ):
        raise WorkerCrashedError
    with pytest.raises(ZeroDivisionError), working("reading"):
        raise ZeroDivisionError


def test_a_session_of_ones_own_does_not_grow(ray_session):
    assert not may_grow()
