"""The Ray session: the environment it needs, a running one is used, an unreachable one is a user error."""

import os
import socket
import subprocess
import sys

import pytest

from cluster.errors import SessionError
from cluster.session import _check_reachable, own_ports, prepare_environment, session


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
