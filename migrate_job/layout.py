"""Names of what a run keeps in its folder while it runs; those of what is written are in nbmf.store.layout."""

from __future__ import annotations

from pathlib import Path

LOCK = "_lock"
NAMES = "_names.jsonl"
"""Of a migration in place: its record files. It is there before the plan."""


def done_file(run: Path, shard: int) -> Path:
    """Counts of a shard; written last, so a shard without one is not done."""
    return run / "_done" / f"{shard:06}.json"
