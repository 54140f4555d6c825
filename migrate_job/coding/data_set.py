"""Shards as a Ray data set, coded by a pool of actors that grows with the cluster; what flows through are their counts.

A data set is of so many shards as may be held at once, and the next one of those that follow: memory hardly grows
with the store.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from cluster.cpus import usable_cpus
from cluster.ray_internals import mapped_without_restarts
from cluster.session import may_grow
from cluster.sources import Shard
from migrate_job.coding.shard_coder import ShardCoder
from migrate_job.errors import WorkerDied
from migrate_job.plan.plan import Plan

_HELD_BYTES = 4 * 1024 * 1024
"""Of shards, compressed, in one data set; it has more of them if the pool would else be idle for long at its end."""

_SHARDS_PER_WORKER = 32
_LOSSES = 3
"""So many times in a row a data set may end by the loss of workers without that a shard was done."""


class _Actor:
    """A worker of the pool."""

    def __init__(self, plan: Plan) -> None:
        self._coder = ShardCoder(plan)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Errors are values: raised here, they would reach the user as errors of Ray's."""
        from ray import cloudpickle

        index = int(row["index"])
        outcome: dict[str, Any] | Exception
        try:
            outcome = self._coder.migrate(index, _unpacked(row["shard"]))
        except Exception as error:
            outcome = error
        return {"index": index, "outcome": cloudpickle.dumps(outcome)}  # type: ignore[no-untyped-call]


def migrate_on_ray(plan: Plan, todo: Iterable[int], died: dict[int, str]) -> Generator[dict[str, Any], None, None]:
    """The counts of each shard, in the order in which they are done. Needs a Ray session.

    A shard that could not be done as processes died goes to `died`, with the reason. Raises the first other error of a
    shard, and WorkerDied if workers are lost without that any shard is done.
    """
    from ray.exceptions import RayError

    workers, why = _Workers(plan), ""
    for window in _windows(plan, todo, workers.now):
        losses = 0
        while window and losses < _LOSSES:
            losses += 1
            try:
                with closing(_run(plan, window, workers)) as outcomes:
                    for index, outcome in outcomes:
                        del window[index]
                        losses = 0
                        if isinstance(outcome, (WorkerDied, MemoryError)):
                            died[index] = str(outcome) or type(outcome).__name__
                        elif isinstance(outcome, Exception):
                            raise outcome
                        else:
                            yield outcome
            except RayError as error:
                why = str(error).partition("\n")[0]
        if window:
            raise WorkerDied(
                f"workers were lost {_LOSSES} times before one of {len(window)} parts of the source was done ({why}). "
                "Is there memory enough? The same command tries again"
            )


def _run(
    plan: Plan, window: dict[int, bytes], workers: _Workers
) -> Generator[tuple[int, dict[str, Any] | Exception], None, None]:
    """Shards and what became of them. Raises RayError if a worker is lost."""
    import ray
    from ray.data import ActorPoolStrategy

    rows = ray.data.from_items(
        [{"index": index, "shard": shard} for index, shard in window.items()], override_num_blocks=len(window)
    )
    size = max(1, min(workers.now, len(window)))
    most = max(size, len(window)) if may_grow() else size
    coded = mapped_without_restarts(  # a new data set does what is missing: Ray would restart them without end
        rows,
        _Actor,
        fn_constructor_args=(replace(plan, shards=()),),
        compute=ActorPoolStrategy(min_size=1, max_size=most, initial_size=size),
        **workers.resources,
    )
    coded.context.execution_no_progress_timeout_s = -1  # a shard may have many records that hang
    coded.context.print_on_execution_start = False
    for row in coded.iter_rows():
        yield int(row["index"]), pickle.loads(row["outcome"])  # noqa: S301 - ours


def _windows(plan: Plan, todo: Iterable[int], workers: int) -> Iterator[dict[int, bytes]]:
    window: dict[int, bytes] = {}
    held_bytes = 0
    for index in todo:
        window[index] = packed = zlib.compress(pickle.dumps(plan.shards[index]), 1)
        held_bytes += len(packed)
        if held_bytes >= _HELD_BYTES and len(window) >= _SHARDS_PER_WORKER * workers:
            yield window
            window, held_bytes = {}, 0
    if window:
        yield window


def _unpacked(packed: bytes) -> Shard:
    shard: Shard = pickle.loads(zlib.decompress(packed))  # noqa: S301 - ours
    return shard


class _Workers:
    """What a worker takes, and how many there is room for now."""

    def __init__(self, plan: Plan) -> None:
        import ray

        self.resources = worker_resources(plan)
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        wanted = {"CPU": self.resources["num_cpus"], "GPU": self.resources.get("num_gpus", 0)}
        if not may_grow():  # a session that this process started declares more CPUs than there may be
            there["CPU"] = min(there.get("CPU", 0), usable_cpus())
        self.now = max(1, int(min(there.get(name, 0) / amount for name, amount in wanted.items() if amount)))


def worker_resources(plan: Plan) -> dict[str, int]:
    """CPUs of a worker: one a thread, but not more than a node has, or Ray would wait for one that has them.

    And a GPU if PyTorch is to code and there are any.
    """
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    there = [node["Resources"] for node in nodes if node["Alive"]]
    resources = {"num_cpus": max(1, min(plan.options.engine.threads, int(max(one.get("CPU", 0) for one in there))))}
    if plan.options.engine.name == "torch" and any(one.get("GPU", 0) >= 1 for one in there):
        resources["num_gpus"] = 1
    return resources
