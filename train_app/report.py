"""A version's measurements as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def ratio_table(measured: dict[str, Any], title: str) -> Table:
    """Ratios over all held-out records, then by kind."""
    table = Table(title=title)
    for column in ("records of", "codec", "records", "raw bytes", "total", "mean", "p5", "min"):
        table.add_column(column, justify="left" if column in ("records of", "codec") else "right")
    for group, codecs in {"all kinds": measured["all"], **measured["kinds"]}.items():
        for name, row in codecs.items():
            ratios = [f"{row[key]:.2f}" for key in ("total_ratio", "mean_ratio", "p5_ratio", "min_ratio")]
            table.add_row(group, name, f"{row['records']:,}", f"{row['raw_bytes']:,}", *ratios)
        table.add_section()
    return table
