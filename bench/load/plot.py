"""Latency and achieved rate against the offered rate, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.load.arrivals import OPERATIONS
from bench.machine import sentence

_COLOURS = {"encode": "#33475b", "decode": "#b3261e"}
_STYLES = {"p50": ":", "p95": "-", "p99": "--"}
_QUIET = "#8a94a0"


def write(report: dict[str, Any], path: Path) -> None:
    """The plot of a report of load.run."""
    steps = sorted(report["steps"], key=lambda step: step["offered_rps"])
    figure = Figure(figsize=(13, 5.8), dpi=130)
    FigureCanvasAgg(figure)
    figure.suptitle("The service under open-loop load, over HTTP", fontsize=15)
    latency, rate = figure.subplots(1, 2)
    _latency(latency, steps, report["saturation_rps"])
    _rate(rate, steps, report["saturation_rps"])
    for axes in (latency, rate):
        axes.set_xlabel("requests a second, offered", fontsize=12)
        axes.set_xlim(left=0)
        axes.grid(which="major", color="#e4e7ea", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(fontsize=10.5, frameon=False)
    caption = (
        f"{report['records']['count']} records of {report['records']['bytes_by_percentile']['0']:,} to "
        f"{report['records']['bytes_by_percentile']['100']:,} bytes, Poisson arrivals, {report['step_s']:g} s a step; "
        "latency counts from when a request was due.\n"
        f"Vertical line: the most that the service kept up with. {sentence(report['machine'])}."
    )
    figure.text(0.5, 0.02, caption, ha="center", va="bottom", fontsize=9.5, color="#444444")
    figure.subplots_adjust(left=0.06, right=0.97, top=0.9, bottom=0.22, wspace=0.16)
    figure.savefig(path, format="png")


def _latency(axes: Axes, steps: Sequence[dict[str, Any]], saturation: float) -> None:
    axes.set_yscale("log")
    axes.set_ylabel("latency of what was answered, ms", fontsize=12)
    for name in OPERATIONS:
        measured = [(step["offered_rps"], step[name]) for step in steps if step[name]["count"]]
        for key, style in _STYLES.items():
            points = [(x, times[key]) for x, times in measured]
            if points:
                axes.plot(*zip(*points, strict=True), style, marker=".", color=_COLOURS[name], label=f"{name} {key}")
    axes.axvline(saturation, color=_QUIET, linewidth=1)


def _rate(axes: Axes, steps: Sequence[dict[str, Any]], saturation: float) -> None:
    axes.set_ylabel("requests a second", fontsize=12)
    offered = [step["offered_rps"] for step in steps]
    axes.plot(offered, offered, color=_QUIET, linewidth=1, label="offered")
    axes.plot(offered, [step["achieved_rps"] for step in steps], marker=".", color=_COLOURS["encode"], label="answered")
    rejected = [step["offered_rps"] * step["rejected_share"] for step in steps]
    axes.plot(offered, rejected, marker=".", color=_COLOURS["decode"], label="429 or 503")
    axes.set_ylim(bottom=0)
    axes.axvline(saturation, color=_QUIET, linewidth=1)
