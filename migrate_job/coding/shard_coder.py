"""Shards, one after the other, in a process that a record may bring down: what it was at is then looked into."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from cluster.sources import Shard
from migrate_job.coding.child import Child, ChildDied
from migrate_job.coding.isolation import isolated_records
from migrate_job.coding.messages import OutOfMemory, Whole
from migrate_job.coding.shard import migrate_shard
from migrate_job.plan.plan import Plan


class ShardCoder:
    """Migrates shards of a plan by a process of its own."""

    def __init__(self, plan: Plan) -> None:
        self._plan = replace(plan, shards=())
        self._child = Child(plan)

    def migrate(self, index: int, shard: Shard) -> dict[str, Any]:
        """The counts of the shard. Raises WorkerDied if processes end that no record ends, NbmfError, OSError."""
        try:
            self._child.ask(Whole(index, shard))
            answer = self._child.answer(None)
        except ChildDied:
            answer = OutOfMemory()
        if not isinstance(answer, OutOfMemory):
            counts: dict[str, Any] = answer
            return counts
        self._child.end()
        plan = replace(self._plan, shards={index: shard})
        return migrate_shard(plan, index, partial(isolated_records, self._child))

    def close(self) -> None:
        """Ends the process."""
        self._child.end()
