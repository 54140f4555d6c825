"""The Ray session: a local one by default, or a running cluster's; quiet, and shut down when done."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.cpus import usable_cpus
from cluster.errors import SessionError
from nbmf.errors import NbmfError

NODE_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Of gRPC messages, which are in memory before the service can look at them; Serve's own limit is 2 GiB.
    "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": str(64 * 1024 * 1024),
    # Of those between the ingress and replicas, which Serve has at 4 MiB: more than a record of max_payload_bytes.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(64 * 1024 * 1024),
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2": "1",
}
"""Of every process of a cluster. Ray reads these when it is first imported or Serve first started, so they are set
before that."""
PROXY_VARIABLE = "RAY_SERVE_HAPROXY_BINARY_PATH"
"""Names what Serve starts in HAProxy's place."""
PROXY_PROGRAM = "nbmf-haproxy"
_LOCAL_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    # No load balancer watches a local proxy, so stopping need not wait for one to notice.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
}
_PROXY_FILES = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "metrics.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
}
"""In a folder of this user's: Serve's own is the same for all users of a machine, and the first's."""
_PORTS = ("RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT")
_CONNECT_TIMEOUT_S = 10
_LEAST_CPUS = 4
_OBJECT_STORE_BYTES = 256 * 1024 * 1024


def prepare_environment(address: str | None = None) -> None:
    """Sets what must be set before Ray is imported; values that the user set stay.

    A local session has no token authentication, as Ray would write a token into the home folder. Some of Ray's ports
    listen on all addresses: keep strangers away from them by a firewall. Whether a running cluster has such
    authentication is the cluster's affair.
    """
    for name, value in (NODE_ENVIRONMENT if address is not None else NODE_ENVIRONMENT | _LOCAL_ENVIRONMENT).items():
        os.environ.setdefault(name, value)
    if address is None:
        folder = Path(tempfile.gettempdir(), f"nbmf-haproxy-{os.geteuid()}")
        for name, file in _PROXY_FILES.items():
            os.environ.setdefault(name, str(folder / file))
    program = proxy_program()
    if address is None and program is not None:
        os.environ.setdefault(PROXY_VARIABLE, program)


def proxy_program() -> str | None:
    """Where PROXY_PROGRAM is on this machine."""
    installed = Path(sysconfig.get_path("scripts"), PROXY_PROGRAM)
    return str(installed) if installed.is_file() else shutil.which(PROXY_PROGRAM)


@contextmanager
def own_ports() -> Iterator[None]:
    """Ray that is started within has free ports for Serve's proxy in place of its fixed ones, which another service on
    the machine may have. They do not stay in the environment: what this process starts needs others."""
    names = [name for name in _PORTS if name not in os.environ]
    os.environ.update({name: str(free_port()) for name in names})
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


_started_here = False


def may_grow() -> bool:
    """Whether nodes can join the Ray session in use: not if this process started it for itself."""
    return not _started_here


def cpus_of_workers() -> int:
    """CPUs of the Ray session in use; without one, those that a local session has."""
    if (ray := sys.modules.get("ray")) is None or not ray.is_initialized():
        return local_cpus()
    return int(ray.cluster_resources().get("CPU", 1))


def local_cpus() -> int:
    """Those that a local session declares."""
    return max(_LEAST_CPUS, usable_cpus())


@contextmanager
def session(address: str | None = None, num_cpus: int | None = None, dashboard: bool = False) -> Iterator[Any]:
    """Ray, connected; a session that this call started is shut down at the end.

    Inside an existing connection (a job, a test) that one is used and left open. `num_cpus` declares
    the CPUs of a local session; two at least, as jobs have a driver and workers. Raises SessionError.
    """
    global _started_here
    prepare_environment(address)
    try:
        import ray
    except ImportError as error:
        raise SessionError(f"Ray is not installed ({error}): pip install 'nbmf[cluster]'") from error

    if ray.is_initialized():
        yield ray
        return
    before = _started_here
    try:
        _connect(address, num_cpus, dashboard)
        _started_here = address is None
        _quieten()
        yield ray
    finally:
        _started_here = before
        ray.shutdown()


def _connect(address: str | None, num_cpus: int | None, dashboard: bool) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is not None:
        _check_reachable(address)
        remedy = "is it running, with the same versions of Python and Ray?"
        with starting(f"cannot reach the Ray cluster at {address}", remedy):
            ray.init(address=address, **quiet)
        return
    cpus = num_cpus or local_cpus()
    # Without an address Ray would take a cluster that someone started on this machine.
    local: dict[str, Any] = {"address": "local", "num_cpus": cpus, "include_dashboard": dashboard}
    remedy = (
        "the machine may be too busy, or short of memory or disk: try again when it has less to do. Ray's own logs are "
        f"in {os.environ.get('RAY_TMPDIR', '/tmp')}/ray/session_latest/logs"  # noqa: S108 - where Ray puts them
    )
    with starting("a local Ray session did not start", remedy), own_ports():
        ray.init(**local, object_store_memory=_OBJECT_STORE_BYTES, **quiet)


@contextmanager
def starting(problem: str, remedy: str) -> Iterator[None]:
    """Whatever Ray raises within, plain Exception too, is a SessionError of this problem and remedy."""
    try:
        yield
    except NbmfError:
        raise
    except Exception as error:
        told = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise SessionError(f"{problem}: {told[0]} ({remedy})") from error


@contextmanager
def working(what: str) -> Iterator[None]:
    """An error of Ray's own within, as of workers that were killed, is a SessionError that names what was done."""
    from ray.exceptions import RayError

    try:
        yield
    except NbmfError:
        raise
    except RayError as error:
        raise SessionError(f"Ray failed while {what}: {str(error).strip().splitlines()[-1]}") from error


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _check_reachable(address: str) -> None:
    """Ray itself goes on trying for minutes. Raises SessionError."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto` and the like: Ray knows where to look
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise SessionError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


def _quieten() -> None:
    """Ray Data and Serve report their plans and progress at length; the commands show their own."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    for name in ("ray.data", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
