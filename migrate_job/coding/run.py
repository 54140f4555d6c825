"""All shards of a plan that are to be done: on Ray, or here where there is little to do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any

from migrate_job.coding.data_set import migrate_on_ray
from migrate_job.coding.shard_coder import ShardCoder
from migrate_job.errors import WorkerDied
from migrate_job.plan.plan import Plan

LITTLE_BYTES = 1024 * 1024
"""Of the source: one process has coded so much before the workers of a pool have begun."""

_TRIES = 3
"""How often a shard is tried of which processes die though no record kills them."""

Session = Callable[[], AbstractContextManager[object]]
"""Within what it gives there is a Ray session."""


def migrate_shards(plan: Plan, todo: Sequence[int], session: Session) -> Generator[dict[str, Any], None, None]:
    """The counts of each shard, in the order in which they are done.

    Raises the first NbmfError or OSError of a shard; WorkerDied when all others are done.
    """
    here = is_little(plan, todo)
    died: dict[int, str] = {}
    for _ in range(_TRIES):
        died.clear()
        if here:
            yield from _migrate_here(plan, todo, died)
        else:
            with session(), closing(migrate_on_ray(plan, todo, died)) as counts:
                yield from counts
        todo = sorted(died)
        if not todo:
            return
    index, why = min(died.items())
    raise WorkerDied(
        f"parts of the source that could not be migrated, as processes ended {_TRIES} times at each: {len(died)}, the "
        f"first of them part {index} ({why}). Is there memory enough? The same command tries again"
    )


def is_little(plan: Plan, todo: Sequence[int]) -> bool:
    """Whether one process of this machine is done before others are started. A shard alone is one worker's anyway."""
    if plan.options.engine.name == "torch":
        return False
    if len(todo) == 1:
        return LITTLE_BYTES >= 0
    size_bytes = 0
    for index in todo:
        shard = plan.shards[index]
        if not shard.size_bytes:
            return False  # not known
        size_bytes += shard.size_bytes
        if size_bytes > LITTLE_BYTES:
            return False
    return True


def _migrate_here(plan: Plan, todo: Sequence[int], died: dict[int, str]) -> Generator[dict[str, Any], None, None]:
    with closing(ShardCoder(plan)) as coder:
        for index in todo:
            try:
                yield coder.migrate(index, plan.shards[index])
            except (WorkerDied, MemoryError) as error:
                died[index] = str(error) or type(error).__name__
