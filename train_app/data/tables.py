"""Results of `nbmf data` for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from nbmf.printable import printable

_SHOWN = 20


def sizes_table(title: str, first: str, found: dict[str, dict[str, Any]]) -> Table:
    """Records and their sizes by name, those with most bytes."""
    more = f", the {_SHOWN} largest of {len(found):,}" if len(found) > _SHOWN else ""
    table = Table(title=title + more, box=None, pad_edge=False)
    for column in (first, "records", "bytes", "p5", "median", "p95", "largest", "kinds"):
        left = column in (first, "kinds")
        table.add_column(column, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for name, row in list(found.items())[:_SHOWN]:
        numbers = [row[key] for key in ("records", "bytes", "p5_bytes", "median_bytes", "p95_bytes", "max_bytes")]
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in row["kinds"].items()) if len(row["kinds"]) > 1 else ""
        table.add_row(printable(name), *(f"{number:,}" for number in numbers), kinds or next(iter(row["kinds"])))
    return table


def check_lines(report: dict[str, Any]) -> Iterator[str]:
    """What a check found, but for its tables."""
    distinct, near = report["distinct"], report["near_duplicates"]
    yield (
        f"{report['records']:,} records: {distinct['records']:,} to learn from ({distinct['bytes']:,} bytes), "
        f"{report['duplicates']:,} duplicates, {sum(report['rejected'].values()):,} left out."
    )
    if near["records"]:
        yield (
            f"{near['records']:,} are nearly the same as one before them ({near['threshold']:.0%} of their pieces of "
            "eight bytes):"
        )
        yield from (f"  {printable(one['place'])}: as {printable(one['near'])}" for one in near["first"])
    if not report["is_enough"]:
        yield f"Too few to learn anything: {report['min_records']:,} are needed."
