"""Recall against bytes as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.vectors.run import OURS

_FAMILIES = {f"{OURS}, trained": "#b3261e", f"{OURS}, untrained": "#d9822b", "faiss": "#33475b", "": "#8a94a0"}


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Left recall@10, right the mean cosine's distance from 1, both against bytes a vector."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, key in zip(figure.subplots(1, 2), ("recall_10", "cosine_mean"), strict=True):
        for family, colour in _FAMILIES.items():
            own = [row for row in rows if _family(row["coder"]) == family and key in row]
            own.sort(key=lambda row: row["bytes"])
            values = [row[key] if key == "recall_10" else 1 - row[key] for row in own]
            line = "-" if family.startswith(OURS) else ""
            axes.plot([row["bytes"] for row in own], values, "o" + line, color=colour, label=family or "plain types")
            if not line:
                for row, value in zip(own, values, strict=True):
                    name = row["coder"].removeprefix("faiss ")
                    axes.annotate(name, (row["bytes"], value), xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.set_xscale("log", base=2)
        axes.set_xlabel("bytes a vector")
        axes.set_ylabel("recall@10" if key == "recall_10" else "1 - cosine, mean")
        axes.grid(alpha=0.3)
        if key == "cosine_mean":
            axes.set_yscale("log")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)


def _family(coder: str) -> str:
    return next(family for family in _FAMILIES if coder.startswith(family))
