"""Tables of the measurements of speed, for people."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from rich.table import Table

from bench.speed import start


def latency_tables(report: dict[str, Any]) -> Iterator[Table]:
    """Encode and decode: two lines a codec, a column a size."""
    buckets = report["buckets"]
    for what in ("encode", "decode"):
        sizes = [str(row["size_bytes"]) for row in buckets]
        result = _table(f"{what} one record: ms, by bytes of payload", ("codec", "", *sizes), text=("codec", ""))
        for name in report["totals"]:
            for percentile in ("p50", "p95"):
                times = [row["codecs"][name][f"{what}_ms"][percentile] for row in buckets]
                result.add_row(name if percentile == "p50" else "", percentile, *map(significant, times))
        result.add_row("records", "", *[str(row["records"]) for row in buckets])
        yield result


def latency_totals(report: dict[str, Any]) -> Table:
    """A line a codec, all records together."""
    columns = ("encode_us_per_byte", "decode_us_per_byte", "encode_us_per_token", "decode_us_per_token", "total_ratio")
    headings = ("codec", "encode\nµs/byte", "decode\nµs/byte", "encode\nµs/token", "decode\nµs/token", "ratio")
    result = _table("all sizes", headings, text=("codec",))
    for name, row in report["totals"].items():
        result.add_row(name, *[significant(row[key]) if key in row else "" for key in columns])
    return result


def throughput_table(report: dict[str, Any]) -> Table:
    """A line for each codec and batch size."""
    title = f"one core, kB of payload a second: median of {report['repeats']}"
    result = _table(title, ("codec", "batch", "encode kB/s", "decode kB/s", "ratio"), text=("codec",))
    for row in report["one_core"]:
        numbers = [significant(row[key]) for key in ("encode_kB_s", "decode_kB_s")]
        batch = str(row["batch_size"] or "")
        result.add_row(row["codec"], batch, *numbers, f"{row['total_ratio']:.2f}")
    return result


def scaling_table(report: dict[str, Any]) -> Table:
    """A line for each number of processes and effort."""
    title = f"processes at the same time, kB/s: median of {report['repeats']}"
    headings = ("codec", "batch", "processes", "encode", "a process", "decode", "a process")
    result = _table(title, headings, text=("codec",))
    for row in report["processes"]:
        cells = [row["codec"], str(row["batch_size"]), str(row["processes"])]
        for what in ("encode", "decode"):
            cells += [significant(row[f"{what}_kB_s"]), significant(median(row[f"{what}_kB_s_per_process"]))]
        result.add_row(*cells)
    return result


def large_table(report: dict[str, Any]) -> Table:
    """A line for each record and codec."""
    headings = ("record", "codec", "bytes", "ratio", "encode s", "decode s")
    result = _table("large records", headings, text=headings[:2])
    result.box, result.padding = None, (0, 1, 0, 0)  # with frames it is wider than 80 columns
    for row in report["rows"]:
        result.add_row(row["record"], "", f"{row['payload_bytes']:,}", "", "", "")
        for name, found in row["codecs"].items():
            ratio = row["payload_bytes"] / found["coded_bytes"]
            times = [significant(found[key]) for key in ("encode_s", "decode_s")]
            result.add_row("", name, f"{found['coded_bytes']:,}", f"{ratio:.2f}", *times)
    return result


def start_table(report: dict[str, Any]) -> Table:
    """A line for each kind of fresh process; what its columns are, see start.PHASES."""
    headings = ("effort", "call", "python", "import", "load", "first", "second", "ready", "peak MB")
    result = _table("a fresh process, ms", headings, text=headings[:2])
    for row in report["rows"]:
        cells = [significant(row["ms"][phase]) for phase in start.PHASES]
        result.add_row(row["effort"], row["operation"], *cells, significant(row["peak_mb"]))
    return result


def _table(title: str, headings: tuple[str, ...], text: tuple[str, ...] = ()) -> Table:
    result = Table(title=title)
    for heading in headings:
        result.add_column(heading, justify="left" if heading in text else "right", no_wrap=True)
    return result


def significant(number: float) -> str:
    """Three digits, and no more of those behind the point than say something."""
    if number == 0:
        return "0"
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}" if abs(number) >= 1 else f"{number:.3f}"
