"""Ratio against speed as a PNG: where a codec stands, and which of them no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from bench.machine import sentence
from bench.ratio import OURS

_OURS_COLOUR, _PEER_COLOUR, _FRONT_COLOUR = "#b3261e", "#33475b", "#8a94a0"
_DISTANCES = (8, 16, 26, 38, 52)
"""Of a label from its point, in typographic points; the first at which it covers nothing is taken."""

_Side: TypeAlias = tuple[Literal["left", "center", "right"], float, float]
_SIDES: tuple[_Side, ...] = (
    ("left", 1, 0),
    ("right", -1, 0),
    ("center", 0, 1),
    ("center", 0, -1),
    ("right", -0.7, -0.7),
    ("left", 0.7, 0.7),
    ("left", 0.7, -0.7),
    ("right", -0.7, 0.7),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A codec in one panel: kB/s and ratio."""

    label: str
    speed: float
    ratio: float
    ours: bool
    idealised: bool = False


def points(rows: Sequence[dict[str, Any]], what: str) -> list[Point]:
    """Of throughput.run's rows for `what` ("encode" or "decode"): ours at the smallest and the fastest batch."""
    result = []
    for codec in dict.fromkeys(row["codec"] for row in rows):
        own = [row for row in rows if row["codec"] == codec]
        fastest = max(own, key=lambda row: row[f"{what}_kB_s"])
        smallest = min(own, key=lambda row: row["batch_size"] or 0)
        for row in [smallest] if smallest is fastest else [smallest, fastest]:
            batch = f", batch {row['batch_size']}" if row["batch_size"] else ""
            ours = codec.startswith(OURS)
            point = Point(f"{codec}{batch}", row[f"{what}_kB_s"], row["total_ratio"], ours, row["idealised"])
            result.append(point)
    return result


def pareto(found: Sequence[Point]) -> list[Point]:
    """Those that no other beats in speed and ratio both, fastest last; idealised ones do not count."""
    front: list[Point] = []
    for point in sorted((p for p in found if not p.idealised), key=lambda p: (-p.speed, -p.ratio)):
        if not front or point.ratio > front[-1].ratio:
            front.append(point)
    return front[::-1]


def write(report: dict[str, Any], path: Path) -> None:
    """The plot of a report of throughput.run."""
    figure = Figure(figsize=(13, 6.6), dpi=130)
    canvas: Any = FigureCanvasAgg(figure)  # much of it is untyped
    figure.suptitle("Compression ratio against speed on one core: small records, each a blob of its own", fontsize=15)
    panels = dict(zip(("encode", "decode"), figure.subplots(1, 2, sharey=True), strict=True))
    for what, axes in panels.items():
        _panel(axes, points(report["one_core"], what), what)
    version = f"version {report['codec'][:12]}" if report["codec"] else "no version"
    caption = (
        f"{report['records']:,} records, {report['payload_bytes'] / 1e3:,.0f} kB; nbmf {version}; "
        f"median of {report['repeats']} repeats. {sentence(report['machine'])}.\n"
        "Line: no other codec is both faster and smaller. Hollow: idealised, and not in the line."
    )
    figure.text(0.5, 0.02, caption, ha="center", va="bottom", fontsize=9.5, color="#444444")
    figure.subplots_adjust(left=0.06, right=0.97, top=0.875, bottom=0.2, wspace=0.06)
    canvas.draw()
    for what, axes in panels.items():
        _place_labels(axes, points(report["one_core"], what), canvas.get_renderer())
    figure.savefig(path, format="png")


def _panel(axes: Axes, found: list[Point], what: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(f"{what}: kB of payload a second (logarithmic)", fontsize=12)
    if what == "encode":
        axes.set_ylabel("total ratio: raw bytes / coded bytes", fontsize=12)
    axes.set_title(what, fontsize=13)
    axes.tick_params(labelsize=11)
    axes.grid(which="major", color="#e4e7ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda speed, _: f"{speed:,.0f}")
    for begin, end in _segments(pareto(found)):
        axes.plot(*zip(begin, end, strict=True), color=_FRONT_COLOUR, linewidth=1.4, zorder=2)
    for point in found:
        colour = _OURS_COLOUR if point.ours else _PEER_COLOUR
        face = "white" if point.idealised else colour
        axes.plot([point.speed], [point.ratio], "o", markersize=8, color=colour, markerfacecolor=face, zorder=3)
        axes.annotate(
            point.label,
            (point.speed, point.ratio),
            (0, 0),
            textcoords="offset points",
            fontsize=10.5,
            color=colour,
            fontweight="bold" if point.ours else "normal",
        )
    speeds, ratios = [p.speed for p in found], [p.ratio for p in found]
    axes.set_xlim(min(speeds) / 4, max(speeds) * 6)
    axes.set_ylim(min(1.0, *ratios), max(ratios) * 1.12)


def _segments(front: Sequence[Point]) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """The stairs from each point of the front down to the next, faster one."""
    for slow, fast in pairwise(front):
        corner = (slow.speed, fast.ratio)
        yield (slow.speed, slow.ratio), corner
        yield corner, (fast.speed, fast.ratio)


def _place_labels(axes: Axes, found: Sequence[Point], renderer: Any) -> None:
    """Moves each label beside its point, where it covers no point, line, other label or edge."""
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    frame = axes.get_window_extent(renderer)
    pixels = axes.transData.transform
    taken = [Bbox.from_extents(x - 8, y - 8, x + 8, y + 8) for x, y in (pixels(label.xy) for label in labels)]
    for segment in _segments(pareto(found)):
        (x0, y0), (x1, y1) = pixels(segment)
        taken.append(Bbox.from_extents(min(x0, x1) - 2, min(y0, y1) - 2, max(x0, x1) + 2, max(y0, y1) + 2))
    for label in labels:
        any(_beside(label, distance, taken, frame, renderer) for distance in _DISTANCES)
        taken.append(label.get_window_extent(renderer))


def _beside(label: Annotation, distance: int, taken: list[Bbox], frame: Bbox, renderer: Any) -> bool:
    for align, right, up in _SIDES:
        label.set_horizontalalignment(align)
        label.set_verticalalignment("center" if up == 0 else "bottom" if up > 0 else "top")
        label.set_position((right * distance, up * distance))
        box = label.get_window_extent(renderer)
        inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return True
    return False
