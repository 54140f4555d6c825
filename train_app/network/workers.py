"""How many training workers a Ray session has room for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cluster.session import may_grow
from nbmf.errors import NbmfError
from train_app.network.settings import NeuralTrainConfig

Resources = dict[str, float]
_SHOWN = ("CPU", "GPU")


class TooManyWorkers(NbmfError):
    """More training workers were asked for than there will ever be room for."""

    code = "too_many_workers"


def resources_per_worker(settings: NeuralTrainConfig) -> Resources:
    """A GPU each, if the cluster has any, and the CPUs of the configuration."""
    import ray

    gpu = {"GPU": 1.0} if ray.cluster_resources().get("GPU", 0) >= 1 else {}
    return {**gpu, "CPU": settings.cpus_per_worker}


def room(per_worker: Resources, nodes: Iterable[Mapping[str, float]]) -> int:
    """How many workers fit on nodes of these resources; each is on one node."""
    return sum(min(int(node.get(name, 0) / amount + 1e-6) for name, amount in per_worker.items()) for node in nodes)


def check_room(settings: NeuralTrainConfig) -> None:
    """Raises TooManyWorkers where the fewest workers do not fit this session, and no more nodes can join it."""
    per_worker = resources_per_worker(settings)
    nodes = _nodes()
    fits = room(per_worker, nodes)
    if fits < settings.fewest_workers and not may_grow():
        raise TooManyWorkers(
            f"{_asked(settings, per_worker)}, and this machine's Ray session has {_described(_sum(nodes))}: "
            f"room for {fits}. {_remedy(settings, fits)}, or name a larger cluster with --address"
        )


def waiting_for(settings: NeuralTrainConfig) -> str:
    """What a run is waiting for whose workers have not started."""
    import ray

    per_worker = resources_per_worker(settings)
    nodes = _nodes()
    fits = room(per_worker, nodes)
    if fits >= settings.fewest_workers:
        free = _described(ray.available_resources())
        return f"waiting for workers to start: {_asked(settings, per_worker)}; free are {free}"
    return (
        f"waiting for nodes to join: {_asked(settings, per_worker)}, and the cluster has {_described(_sum(nodes))}, "
        f"room for {fits}. {_remedy(settings, fits)}"
    )


def _asked(settings: NeuralTrainConfig, per_worker: Resources) -> str:
    count = settings.fewest_workers
    each = " each" if count > 1 else ""
    least = "at least " if not isinstance(settings.num_workers, int) else ""
    return f"{least}{count} worker{'s' if count > 1 else ''} with {_described(per_worker)}{each}"


def _remedy(settings: NeuralTrainConfig, fits: int) -> str:
    if fits:
        return f"Use --workers {fits}, or --workers 1:{settings.fewest_workers} for as many as there is room for"
    return "Lower cpus_per_worker (--network-config)"


def _described(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{resources[name]:g} {name}" for name in _SHOWN if resources.get(name)) or "none"


def _sum(nodes: list[dict[str, float]]) -> Resources:
    return {name: sum(node.get(name, 0.0) for node in nodes) for name in _SHOWN}


def _nodes() -> list[dict[str, float]]:
    import ray

    nodes: list[Any] = ray.nodes()
    return [node["Resources"] for node in nodes if node["Alive"]]
