"""The report for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from bench.load.arrivals import OPERATIONS
from bench.machine import sentence

_PERCENTILES = ("p50", "p95", "p99")


def rate_table(report: dict[str, Any]) -> Table:
    """A line a step: what was asked for and what came back."""
    table = Table(title="Requests a second")
    for column in ("step", "offered", "answered", "kept up", "200", "429, 503", "other", "sent late, p95 ms"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for step in report["steps"]:
        answered = step["statuses"].get("200", 0)
        rejected = round(step["rejected_share"] * step["requests"])
        table.add_row(
            step["phase"],
            f"{step['offered_rps']:.1f}",
            f"{step['achieved_rps']:.1f}",
            "yes" if step["sustained"] else "no",
            f"{answered:,}",
            f"{rejected:,}",
            f"{step['requests'] - answered - rejected:,}",
            f"{step['send_lag_ms']['p95']:.1f}" if step["send_lag_ms"]["count"] else "-",
        )
    return table


def latency_table(report: dict[str, Any]) -> Table:
    """A line a step: how long what was answered with 200 took."""
    table = Table(title="Latency in ms, from when a request was due")
    table.add_column("step")
    table.add_column("offered", justify="right")
    for name in OPERATIONS:
        for key in _PERCENTILES:
            table.add_column(f"{name} {key}", justify="right")
    for step in report["steps"]:
        times = [
            f"{step[name][key]:.1f}" if step[name]["count"] else "-" for name in OPERATIONS for key in _PERCENTILES
        ]
        table.add_row(step["phase"], f"{step['offered_rps']:.1f}", *times)
    return table


def conclusions(report: dict[str, Any]) -> Iterator[str]:
    """What it comes to."""
    rate = f"{report['saturation_rps']:.1f} requests a second"
    if report["saturated"]:
        yield f"Saturation: {rate} were the most that the service kept up with."
    else:
        yield f"The service kept up with {rate}, the highest rate that was tried: raise --max-rps."
    for name, step in (("At half of it", report["half"]), ("At twice as much", report["beyond"])):
        parts = ", ".join(f"{what} p95 {step[what]['p95']:.1f} ms" for what in OPERATIONS if step[what]["count"])
        rejected = f"; {step['rejected_share']:.1%} got 429 or 503" if step["rejected_share"] else ""
        yield f"{name} ({step['offered_rps']:.1f} a second): {parts}{rejected}."
    yield f"Payloads that came back different: {report['unequal']}."
    where = "" if report["codec"] is None else "The client had its part of these cores. "
    yield f"{sentence(report['machine'])}. {where}{report['records']['count']} records, {report['step_s']:g} s a step."
