"""Names of what a run keeps in its folder."""

from __future__ import annotations

from pathlib import Path

PLAN = "_plan.json"
LOCK = "_lock"
NAMES = "_names.jsonl"
"""Of a migration in place: its record files. It is there before the plan."""

DEAD_LETTERS = "dead-letters.jsonl"
REPORT = "report.json"
REPORT_PAGE = "report.html"


def done_file(run: Path, shard: int) -> Path:
    """Counts of a shard; written last, so a shard without one is not done."""
    return run / "_done" / f"{shard:06}.json"
