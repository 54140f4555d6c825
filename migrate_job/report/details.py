"""What a report tells beyond counts: totals by class and by coder, and the records at the ends of the scale."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

from nbmf import inspect
from nbmf.vectors.changed import Changed

NOTABLE = 10
"""Records that are listed, of each kind."""

RATIO_EDGES = (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 15, 20, 50)
"""Lower ends of the ranges that records are counted by."""

MAX_CLASSES = 10_000
OTHERS = "(others)"

Totals: TypeAlias = dict[str, dict[str, int]]
"""Of each class or coder: records, payload_bytes, blob_bytes."""

Semantic: TypeAlias = dict[str, Any]
"""Of what fidelity semantic changed: records, their vectors, sum and least of these' cosines (None without any), bytes
of the records' blobs, and of those that would have kept all."""

Notable: TypeAlias = dict[str, Any]
"""A record's key, payload_bytes and blob_bytes."""

NOTHING_CHANGED: Semantic = {
    "records": 0, "vectors": 0, "cosine_sum": 0.0, "cosine_min": None, "blob_bytes": 0, "lossless_bytes": 0,
}  # fmt: skip


def details(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """`classes`, `coders`, `ratios`, `semantic`, `largest` and `worst_ratio` of migrated rows."""
    classes: Totals = {}
    coders: Totals = {}
    ratios: Counter[str] = Counter()
    semantic = NOTHING_CHANGED
    notable: list[Notable] = []
    for row in rows:
        sizes = {"payload_bytes": row["payload_bytes"], "blob_bytes": len(row["blob"])}
        one = {"records": 1, **sizes}
        add_totals(classes, {row["class"]: one})
        add_totals(coders, {inspect(row["blob"]).coder: one})
        ratios[_ratio_range(row["payload_bytes"] / len(row["blob"]))] += 1
        if row["changed"]:
            semantic = add_semantic(semantic, _changed(row["changed"], len(row["blob"])))
        notable.append({"key": row["key"], **sizes})
    return {
        "classes": classes,
        "coders": coders,
        "ratios": ratios,
        "semantic": semantic,
        "largest": largest(notable),
        "worst_ratio": worst_ratio(notable),
    }


def add_totals(totals: Totals, more: Totals) -> None:
    """Adds `more` to `totals`."""
    for name, values in more.items():
        held = totals.setdefault(name, dict.fromkeys(values, 0))
        for what, value in values.items():
            held[what] += value


def add_semantic(one: Semantic, other: Semantic) -> Semantic:
    """Both together."""
    least = [some["cosine_min"] for some in (one, other) if some["records"]]
    return {name: one[name] + other[name] for name in one if name != "cosine_min"} | {
        "cosine_min": min(least, default=None)
    }


def _changed(changed: Changed, blob_bytes: int) -> Semantic:
    return {
        "records": 1,
        "vectors": changed.vectors,
        "cosine_sum": changed.cosine_mean * changed.vectors,
        "cosine_min": changed.cosine_min,
        "blob_bytes": blob_bytes,
        "lossless_bytes": changed.lossless_bytes,
    }


def fold(totals: Totals) -> None:
    """Keeps those of the most payload bytes, and the sum of the others, once there are too many to hold them all."""
    if len(totals) < 2 * MAX_CLASSES:
        return
    named = [name for name in totals if name != OTHERS]
    kept = set(heapq.nsmallest(MAX_CLASSES, named, key=lambda name: (-totals[name]["payload_bytes"], name)))
    for name in named:
        if name not in kept:
            add_totals(totals, {OTHERS: totals.pop(name)})


def _ratio_range(ratio: float) -> str:
    return f"{RATIO_EDGES[bisect_right(RATIO_EDGES, ratio) - 1]:g}"


def largest(records: Iterable[Notable]) -> list[Notable]:
    """Those of the most payload bytes."""
    return heapq.nsmallest(NOTABLE, records, key=lambda one: (-one["payload_bytes"], one["key"]))


def worst_ratio(records: Iterable[Notable]) -> list[Notable]:
    """Those of the fewest payload bytes a blob byte."""
    return heapq.nsmallest(NOTABLE, records, key=lambda one: (one["payload_bytes"] / one["blob_bytes"], one["key"]))


def semantic_rows(semantic: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of a table about what fidelity semantic changed; none where it changed nothing."""
    if not semantic["records"]:
        return []
    return [
        ("records of which fidelity semantic changed vectors", f"{semantic['records']:,}"),
        ("vectors that it changed", f"{semantic['vectors']:,}"),
        ("their cosines, mean and least", f"{semantic['cosine_mean']:.5f}, {semantic['cosine_min']:.5f}"),
        ("bytes of these blobs, and lossless", f"{semantic['blob_bytes']:,}, {semantic['lossless_bytes']:,}"),
    ]
