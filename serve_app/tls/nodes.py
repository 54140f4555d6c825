"""TLS on the nodes: what Ray must be started with there, so that Serve's HAProxy ends TLS (serve_app.tls.haproxy)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import ConfigError
from cluster.session import PROXY_PROGRAM, PROXY_VARIABLE, proxy_program
from serve_app.config import ServeConfig, TlsConfig
from serve_app.message_limits import check_message_limits, raised_environment
from serve_app.tls.files import check_files
from serve_app.tls.haproxy import CERTIFICATE_VARIABLE, CLIENT_CA_VARIABLE, KEY_VARIABLE

_OF_TLS = (CERTIFICATE_VARIABLE, KEY_VARIABLE, CLIENT_CA_VARIABLE)
_HAPROXY_VARIABLE = "RAY_SERVE_ENABLE_HA_PROXY"


def node_environment(tls: TlsConfig, program: str) -> dict[str, str]:
    """Variables that Ray is started with on each node; `program` is nbmf-haproxy there."""
    return {
        _HAPROXY_VARIABLE: "1",
        PROXY_VARIABLE: program,
        CERTIFICATE_VARIABLE: tls.certificate_file,
        KEY_VARIABLE: tls.key_file,
        **({CLIENT_CA_VARIABLE: tls.client_ca_file} if tls.client_ca_file is not None else {}),
    }


@contextmanager
def local_environment(config: ServeConfig) -> Iterator[None]:
    """A local Ray session that is started within can serve with this TLS and these limits. Raises ConfigError."""
    variables = raised_environment(config, os.environ)
    if config.tls is not None:
        variables |= node_environment(config.tls, _program_here())
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def check_environment(tls: TlsConfig | None, environment: Mapping[str, str]) -> None:
    """Raises ConfigError if Serve, started with these variables, would not serve with this TLS, or none."""
    program = environment.get(PROXY_VARIABLE, "")
    if tls is None:
        given = [name for name in _OF_TLS if environment.get(name)]
        if Path(program).name == PROXY_PROGRAM and given:
            raise ConfigError(f"tls: null, but Ray was started with {' '.join(given)}")
        return
    needed = node_environment(tls, program if Path(program).name == PROXY_PROGRAM else f"/path/to/{PROXY_PROGRAM}")
    wrong = [f"{name}={value}" for name, value in needed.items() if environment.get(name) != value]
    if tls.client_ca_file is None and environment.get(CLIENT_CA_VARIABLE):
        wrong.append(f"{CLIENT_CA_VARIABLE}=")
    if wrong:
        raise ConfigError(f"tls: Ray was not started for it; start it on every node with {' '.join(wrong)}")


def check_nodes(config: ServeConfig) -> None:
    """Asks every node of the Ray session at hand for its variables and files. Raises ConfigError naming the node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0)(_problem_here)
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    answers = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(config)
        for node in nodes
    ]
    for node, problem in zip(nodes, ray.get(answers), strict=True):
        if problem is not None:
            raise ConfigError(f"node {node['NodeManagerAddress']}: {problem}")


def _problem_here(config: ServeConfig) -> str | None:
    try:
        check_message_limits(config, os.environ)
        if config.tls is not None:
            check_environment(config.tls, os.environ)
            check_files(config.tls)
    except ConfigError as error:
        return str(error)
    return None


def _program_here() -> str:
    found = proxy_program()
    if found is None:
        raise ConfigError(f"tls: the program {PROXY_PROGRAM} is missing; install nbmf again")
    return found
