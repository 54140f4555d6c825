"""Names in the folder of a data set: what migrations write and readers look for."""

from __future__ import annotations

PART_PREFIX, PART_SUFFIX = "part-", ".parquet"
"""Of the files with the records."""

INDEX = "_index.arrow"
PLAN = "_plan.json"
"""There from the beginning: what is being written, and with which version."""

REPORT, REPORT_PAGE = "report.json", "report.html"
"""Written last: a data set with a plan and without a report is not finished."""

DEAD_LETTERS = "dead-letters.jsonl"
BESIDE_SQLITE = ".migration"
"""Behind the name of a SQLite store: the folder with its plan, report and dead letters."""


def part_name(index: int) -> str:
    """Of the records of a shard."""
    return f"{PART_PREFIX}{index:06}{PART_SUFFIX}"
