"""Shards as Ray tasks: so many at a time as there is room for, and what is done when a worker dies.

Tasks and not a Ray data set: that would hold something of every shard, and would not tell whose worker died.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from migrate_job.coding.shard import migrate_shard
from migrate_job.errors import WorkerDied
from migrate_job.plan.plan import Plan
from nbmf.errors import NbmfError

_NODES_LOST = 3
"""So often a shard is begun again in the ordinary way when its node is lost; after that, as if it had killed it."""

_ISOLATED_TRIES = 5
_LOOK_S = 10.0
"""How often the size of the cluster is looked at."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    index: int
    isolated: bool = False
    failures: int = 0

    def after_death(self, node_lost: bool) -> _Attempt:
        if self.isolated:
            return replace(self, failures=self.failures + 1)
        if node_lost and self.failures + 1 < _NODES_LOST:
            return replace(self, failures=self.failures + 1)
        return _Attempt(self.index, isolated=True)


def migrate_shards(plan: Plan, todo: Iterable[int]) -> Generator[dict[str, Any], None, None]:
    """The counts of each shard, in the order in which they are done. Needs a Ray session.

    Raises the first NbmfError or OSError of a shard; WorkerDied when all others are done.
    """
    import ray
    from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError

    node_lost = (NodeDiedError, ObjectLostError)
    fresh = map(_Attempt, todo)
    again: deque[_Attempt] = deque()
    running: dict[Any, _Attempt] = {}
    given_up: list[tuple[int, str]] = []
    room = _Room(plan)
    task = ray.remote(_migrate).options(max_retries=0, **room.resources)
    shared = ray.put(replace(plan, shards=()))
    try:
        while True:
            while len(running) < room.tasks():
                attempt = again.popleft() if again else next(fresh, None)
                if attempt is None:
                    break
                shard = plan.shards[attempt.index]
                running[task.remote(shared, attempt.index, shard, attempt.isolated)] = attempt
            if not running:
                break
            (ready,), _ = ray.wait(list(running), num_returns=1)
            attempt = running.pop(ready)
            try:
                outcome = ray.get(ready)
                if isinstance(outcome, Exception):
                    raise outcome
            except (WorkerCrashedError, OutOfMemoryError, MemoryError, WorkerDied, *node_lost) as error:
                attempt = attempt.after_death(isinstance(error, node_lost))
                if attempt.failures < _ISOLATED_TRIES:
                    again.append(attempt)
                else:
                    given_up.append((attempt.index, str(error).partition("\n")[0]))
            else:
                yield outcome
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
    if given_up:
        index, why = given_up[0]
        raise WorkerDied(
            f"parts of the source that could not be migrated, as processes ended {_ISOLATED_TRIES} times at each: "
            f"{len(given_up)}, the first of them part {index} ({why}). Is there memory enough? The same command tries "
            "again"
        )


def _migrate(plan: Plan, index: int, shard: Any, isolated: bool) -> dict[str, Any] | NbmfError | OSError:
    """Errors are returned: raised here, they would reach the user as errors of Ray's."""
    try:
        return migrate_shard(replace(plan, shards={index: shard}), index, isolated)
    except (NbmfError, OSError) as error:
        return error


class _Room:
    """What a task takes, and how many of them are handed to Ray: as many again as can run, so that clusters grow."""

    def __init__(self, plan: Plan) -> None:
        self.resources = task_resources(plan)
        self._looked = self._tasks = 0.0

    def tasks(self) -> int:
        now = time.monotonic()
        if not self._tasks or now - self._looked > _LOOK_S:
            self._tasks, self._looked = self._count(), now
        return int(self._tasks)

    def _count(self) -> int:
        import ray

        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        wanted = {"CPU": self.resources["num_cpus"], "GPU": self.resources.get("num_gpus", 0)}
        return 2 + 2 * int(min(there.get(name, 0) / amount for name, amount in wanted.items() if amount))


def task_resources(plan: Plan) -> dict[str, int]:
    """CPUs of a task: one a thread, but not more than a node has, or Ray would wait for one that has them.

    And a GPU if PyTorch is to code and there are any.
    """
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    there = [node["Resources"] for node in nodes if node["Alive"]]
    resources = {"num_cpus": max(1, min(plan.engine.threads, int(max(one.get("CPU", 0) for one in there))))}
    if plan.engine.name == "torch" and any(one.get("GPU", 0) >= 1 for one in there):
        resources["num_gpus"] = 1
    return resources
