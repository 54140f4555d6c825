"""Results for people, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from migrate_job.report.details import semantic_rows

if TYPE_CHECKING:
    from migrate_job.dry_run import DryRun, Estimate


def report_table(report: Any) -> Table:
    """Totals for people."""
    table = Table(title="Migration", show_header=False)
    table.add_row("records in the source", f"{report.records:,}")
    table.add_row("migrated", f"{report.migrated:,}")
    table.add_row("of these, decoded and compared", f"{report.verified:,}")
    if report.previews:
        table.add_row("of these, previews of the stub (carried over as they are)", f"{report.previews:,}")
    for reason, count in sorted(report.dead_reasons.items()):
        table.add_row(f"dead letters: {reason}", f"{count:,}")
    for reason, count in sorted(report.skipped_reasons.items()):
        table.add_row(f"skipped: {reason}", f"{count:,}")
    for reason, count in sorted(report.unread.reasons.items()):
        table.add_row(f"files or folders not read: {reason}", f"{count:,}")
    table.add_row("bytes in the source", f"{report.source_bytes:,}")
    table.add_row("payload bytes", f"{report.payload_bytes:,}")
    table.add_row("blob bytes", f"{report.blob_bytes:,}")
    for name, value in semantic_rows(report.to_dict()["semantic"]):
        table.add_row(name, value)
    if report.blob_bytes:
        table.add_row("payload bytes / blob bytes", f"{report.payload_bytes / report.blob_bytes:.2f}")
        table.add_row("source bytes / blob bytes", f"{report.source_bytes / report.blob_bytes:.2f}")
    return table


def dry_run_table(run: DryRun) -> Table:
    """Estimates with their ranges, and what failed in the sample."""
    table = Table(
        title="Migration, estimated; nothing was written",
        caption=f"from {run.sampled_records:,} records of {run.sampled_shards:,} of {run.shards:,} shards; "
        f"codec {run.version[:12]}, effort {run.effort}",
    )
    table.add_column("whole source")
    table.add_column("estimate", justify="right")
    table.add_column("95 % range", justify="right")
    for name, estimate, digits in (
        ("records", run.records, 0),
        ("bytes in the source", run.source_bytes, 0),
        ("payload bytes", run.payload_bytes, 0),
        ("blob bytes", run.blob_bytes, 0),
        ("payload bytes / blob bytes", run.ratio, 2),
        ("core-hours", run.core_hours, 4),
        (f"seconds on {run.cpus} CPUs, without the start", run.wall_seconds, 1),
    ):
        table.add_row(name, f"{estimate.value:,.{digits}f}", _range(estimate, digits))
    for reason, count in run.sampled_failures.items():
        table.add_row(f"failures in the sample: {reason}", f"{count:,}", "")
    for reason, count in run.not_read["reasons"].items():
        table.add_row(f"files or folders not read: {reason}", f"{count:,}", "counted")
    return table


def _range(estimate: Estimate, digits: int) -> str:
    if estimate.counted:
        return "counted"
    return f"{estimate.low:,.{digits}f} to {estimate.high:,.{digits}f}"
