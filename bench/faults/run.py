"""Parts of a service are killed in the middle of a rollout, under traffic: what clients notice, and for how long."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import zstandard

from bench.faults.steady_traffic import Answer, SteadyTraffic
from cluster.registry import Registry
from cluster.session import free_port, own_ports, prepare_environment, starting
from nbmf.payload import Payload, to_canonical
from serve_app.config import DeploymentConfig, ServeConfig
from serve_app.deploy.deploy import APPLICATION, deploy
from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore
from serve_app.rollout_policy import RolloutPolicy
from serve_app.routing.encoders import encoder_name

CLIENTS = 2
_CALM_S = 3.0
_PATIENCE_S = 120.0
_NODE_CPUS = 3
_OBJECT_STORE_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Fault:
    """What was seen after one part was killed. `failures` counts requests by status or error of the connection.

    `recovered_s` is when as many replicas as before ran again; `longest_s` the longest that a request took.
    """

    killed: str
    requests: int
    failures: dict[str, int]
    wrong: int
    longest_s: float
    recovered_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All faults, and how the rollout that went on meanwhile ended."""

    faults: list[Fault]
    state: str
    reason: str
    requests: int
    failures: dict[str, int]
    wrong: int


def run(records: list[Payload], config: ServeConfig, folder: Path, on_step: Callable[[str], None]) -> Outcome:
    """A Ray cluster of three nodes on this machine, the service on it, a rollout at 50 % while parts are killed.

    In a process that has no Ray session: the cluster is its own. Raises TimeoutError if a part does not come back.
    """
    registry = Registry(folder / "registry")
    stable, candidate = (_publish(registry, name, records, size) for name, size in (("old", 4096), ("new", 16384)))
    registry.assign("stable", stable)
    policy = RolloutPolicy(
        steps_percent=(50, 100),
        dwell_s=0,
        min_samples=20,
        shadow_sample_percent=50,
        max_error_rate=1,  # faults that are made here are not the candidate's
        max_p95_of_stable=1000,
    )
    store = RolloutStore(registry)
    with _cluster() as (ray, cluster, node):
        on_step("starting the service")
        url = deploy(_sized(config), registry)
        with SteadyTraffic(url, records, CLIENTS) as traffic:
            begin = time.monotonic()
            store.start(candidate, policy, time.time())
            on_step("waiting for half of the traffic to go to the candidate")
            _wait(lambda: _is_at(store, 50), "the candidate got no share")
            store.change(lambda rollout: rollout.with_pause(True))
            faults = []
            for name, application, deployment in (
                ("an encoder of stable", encoder_name(APPLICATION, stable), "Encoder"),
                ("an encoder of the candidate", encoder_name(APPLICATION, candidate), "Encoder"),
                ("a decoder", APPLICATION, "Decoder"),
                ("an ingress", APPLICATION, "Ingress"),
                ("the rollout's controller", APPLICATION, "RolloutController"),
            ):
                on_step(f"killing {name}")
                faults.append(_after(name, traffic, partial(_kill, ray, application, deployment)))
            on_step("killing a node")
            faults.append(_after("a node", traffic, partial(_kill_node, cluster, node)))
            on_step("letting the rollout end")
            store.change(lambda rollout: rollout.with_pause(False))
            _wait(lambda: not _read(store).is_active, "the rollout did not end")
            time.sleep(_CALM_S)
            answers = traffic.since(begin)
        ended = _read(store)
    return Outcome(
        faults, ended.state, ended.reason, len(answers), _failures(answers), sum(answer.is_wrong for answer in answers)
    )


def _after(name: str, traffic: SteadyTraffic, kill: Callable[[], Callable[[], bool]]) -> Fault:
    time.sleep(_CALM_S)
    begin = time.monotonic()
    is_back = kill()
    _wait(is_back, f"{name} did not come back")
    recovered_s = time.monotonic() - begin
    time.sleep(_CALM_S)
    answers = traffic.since(begin)
    return Fault(
        name,
        len(answers),
        _failures(answers),
        sum(answer.is_wrong for answer in answers),
        max(answer.end - answer.begin for answer in answers),
        recovered_s,
    )


def _failures(answers: list[Answer]) -> dict[str, int]:
    return dict(Counter(answer.failure for answer in answers if answer.failure))


def _kill(ray: Any, application: str, deployment: str) -> Callable[[], bool]:
    """Kills one replica; returns a function that tells whether as many as before run again."""
    prefix = f"SERVE_REPLICA::{application}#{deployment}#"

    def names() -> list[str]:
        actors = ray.util.list_named_actors(all_namespaces=True)
        return sorted(actor["name"] for actor in actors if actor["name"].startswith(prefix))

    before, there = _running(), names()
    ray.kill(ray.get_actor(there[0], namespace="serve"))
    # Serve's status knows nothing of it yet: another replica must have come in its place.
    return lambda: set(names()) - set(there) != set() and _running() == before


def _kill_node(cluster: Any, node: Any) -> Callable[[], bool]:
    before = _running()
    cluster.remove_node(node, allow_graceful=False)
    noticed = []

    def is_back() -> bool:
        if _running() != before:
            noticed.append(True)
        return bool(noticed) and _running() == before

    return is_back


def _running() -> dict[tuple[str, str], int]:
    """Replicas that run, by application and deployment."""
    from ray import serve

    return {
        (name, deployment): sum(count for at, count in state.replica_states.items() if at == "RUNNING")
        for name, application in serve.status().applications.items()
        for deployment, state in application.deployments.items()
    }


def _is_at(store: RolloutStore, percent: float) -> bool:
    rollout = _read(store)
    if not rollout.is_active:
        raise RuntimeError(f"the rollout ended before anything was killed: {rollout.reason}")
    return rollout.percent == percent


def _read(store: RolloutStore) -> Rollout:
    rollout = store.read()
    assert rollout is not None  # noqa: S101
    return rollout


def _wait(condition: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{problem} within {_PATIENCE_S:g} s; replicas that run: {_running()}")
        time.sleep(0.1)


def _sized(config: ServeConfig) -> ServeConfig:
    """Two replicas of everything, small ones: the cluster must hold them all after it lost a node."""

    def pair(size: DeploymentConfig) -> DeploymentConfig:
        return size.model_copy(update={"min_replicas": 2, "max_replicas": 2, "num_cpus": 0.3})

    sizes = {name: pair(getattr(config, name)) for name in ("ingress", "encoder", "decoder")}
    return config.model_copy(update={"port": free_port(), "version": "default", **sizes})


def _publish(registry: Registry, name: str, records: list[Payload], dictionary_bytes: int) -> str:
    samples: list[Any] = [to_canonical(record)[1] for record in records]
    manifest = {
        "name": name,
        "created_at": "2026-01-01T00:00:00+00:00",
        "architecture": "zstd-dictionary",
        "dictionaries": {"text": "d", "json": "d", "messages": "d"},
    }
    return registry.publish(manifest, {"d": zstandard.train_dictionary(dictionary_bytes, samples).as_bytes()})


def _starting() -> AbstractContextManager[None]:
    return starting("a Ray cluster of three nodes did not start", "the machine may be too busy, or short of memory")


@contextmanager
def _cluster() -> Iterator[tuple[Any, Any, Any]]:
    """Ray, a cluster of three nodes, and the one of them to kill."""
    prepare_environment()
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    with _starting(), own_ports():
        cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        with _starting(), own_ports():
            nodes = [cluster.add_node(num_cpus=_NODE_CPUS, object_store_memory=_OBJECT_STORE_BYTES) for _ in range(2)]
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield ray, cluster, nodes[-1]
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
