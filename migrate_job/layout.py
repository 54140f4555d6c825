"""Names of what a run keeps in its folder while it runs; those of what is written are in nbmf.store.layout."""

from __future__ import annotations

LOCK = "_lock"
NAMES = "_names.jsonl"
"""Of a migration in place: its record files. It is there before the plan."""


DONE, DEAD = "_done", "_dead"
"""Folders of counts and of dead letters, a file a shard."""


def done_name(shard: int) -> str:
    """Counts of a shard; written last, so a shard without one is not done."""
    return f"{DONE}/{shard:06}.json"


def dead_name(shard: int) -> str:
    """Dead letters of a shard, if it has any."""
    return f"{DEAD}/{shard:06}.jsonl"
