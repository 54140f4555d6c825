"""What a report tells beyond counts: totals by class and by coder, and the records at the ends of the scale."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, TypeAlias

from nbmf import inspect

NOTABLE = 10
"""Records that are listed, of each kind."""

Totals: TypeAlias = dict[str, dict[str, int]]
"""Of each class or coder: records, payload_bytes, blob_bytes."""

Notable: TypeAlias = dict[str, Any]
"""A record's key, payload_bytes and blob_bytes."""


def details(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """`classes`, `coders`, `largest` and `worst_ratio` of migrated rows."""
    classes: Totals = {}
    coders: Totals = {}
    notable: list[Notable] = []
    for row in rows:
        sizes = {"payload_bytes": row["payload_bytes"], "blob_bytes": len(row["blob"])}
        one = {"records": 1, **sizes}
        add_totals(classes, {row["class"]: one})
        add_totals(coders, {inspect(row["blob"]).coder: one})
        notable.append({"key": row["key"], **sizes})
    return {
        "classes": classes,
        "coders": coders,
        "largest": largest(notable),
        "worst_ratio": worst_ratio(notable),
    }


def add_totals(totals: Totals, more: Totals) -> None:
    """Adds `more` to `totals`."""
    for name, values in more.items():
        held = totals.setdefault(name, dict.fromkeys(values, 0))
        for what, value in values.items():
            held[what] += value


def largest(records: Iterable[Notable]) -> list[Notable]:
    """Those of the most payload bytes."""
    return heapq.nsmallest(NOTABLE, records, key=lambda one: (-one["payload_bytes"], one["key"]))


def worst_ratio(records: Iterable[Notable]) -> list[Notable]:
    """Those of the fewest payload bytes a blob byte."""
    return heapq.nsmallest(NOTABLE, records, key=lambda one: (one["payload_bytes"] / one["blob_bytes"], one["key"]))
