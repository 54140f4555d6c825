"""Tables of the measurements of migrations, as they are in docs/migration.md."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def damaged_table(report: dict[str, Any]) -> Table:
    """What became of the records."""
    result = Table(title="A legacy store with damage", show_header=False)
    result.add_column()
    result.add_column(justify="right")
    for name in (
        "records",
        "damaged",
        "equal_at_the_destination",
        "dead_letters_with_the_right_reason",
        "untouched_at_the_source",
        "problems",
    ):
        result.add_row(name.replace("_", " "), f"{report[name]:,}")
    for reason, count in sorted(report["dead_reasons"].items()):
        result.add_row(f"dead letters: {reason}", f"{count:,}")
    result.add_row("payload bytes / blob bytes", f"{report['payload_bytes'] / max(1, report['blob_bytes']):.2f}")
    result.add_row("seconds of the migration", f"{report['seconds']:,.1f}")
    return result


def speed_table(report: dict[str, Any]) -> Table:
    """A line for each version and number of workers."""
    result = _table("speed", ("version", "workers", "records", "records/s", "kB/s", "ratio", "efficiency"))
    for row in report["speed"]:
        result.add_row(
            row["codec"][:12],
            str(row["workers"]),
            f"{row['records']:,}",
            f"{row['records_s']:,.0f}",
            f"{row['kB_s']:,.0f}",
            f"{row['payload_bytes'] / row['blob_bytes']:.2f}",
            f"{row['efficiency']:.0%}",
        )
    return result


def memory_table(report: dict[str, Any]) -> Table:
    """A line a store; in brackets, how much more than with the smallest store of its layout."""
    heads = ("source", "records", "shards", "listing s", "seconds", "driver MB", "worker MB")
    result = _table("peak memory, resident", heads)
    smallest: dict[str, dict[str, Any]] = {}
    for row in report["memory"]:
        first = smallest.setdefault(row["source"], row)
        peaks = [(row[f"{who}_peak_bytes"], first[f"{who}_peak_bytes"]) for who in ("driver", "worker")]
        result.add_row(
            row["source"],
            f"{row['records']:,}",
            f"{row['shards']:,}",
            f"{row['listing_s']:.1f}",
            f"{row['seconds']:.1f}",
            *[f"{peak / 1e6:,.0f} ({peak / least - 1:+.1%})" for peak, least in peaks],
        )
    return result


def target_table(report: dict[str, Any]) -> Table:
    """A column a version."""
    target = report["target"]
    versions = target["versions"]
    result = _table(f"extrapolated to {target['records']:,} records", ("", *[row["codec"][:12] for row in versions]))
    result.add_row("core-hours", *[f"{row['core_hours']:,.0f}" for row in versions])
    result.add_row("payload, GB", *[f"{row['payload_bytes'] / 1e9:,.0f}" for row in versions])
    result.add_row("blobs, GB", *[f"{row['blob_bytes'] / 1e9:,.0f}" for row in versions])
    result.add_row("shards", *[f"{row['shards']:,.0f}" for row in versions])
    result.add_row("cores that one driver keeps at work", *[f"{row['cores_kept_at_work']:,.0f}" for row in versions])
    for cores in versions[0]["hours"]:
        result.add_row(f"hours on {cores} cores", *[f"{row['hours'][cores]:,.1f}" for row in versions])
    result.add_row("hours to list the source before", *[f"{target['listing_hours']:,.2f}" for _ in versions])
    return result


def _table(title: str, heads: tuple[str, ...]) -> Table:
    result = Table(title=title)
    for head in heads:
        result.add_column(head, justify="left" if head in ("", "version", "source") else "right")
    return result
