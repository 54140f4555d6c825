"""`nbmf migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cluster.cli.options import (
    AddressOption,
    CodecOption,
    EffortChoice,
    EffortOption,
    EngineOption,
    LatencyBudgetOption,
    RegistryOption,
    ThreadsOption,
    latency_budget,
)
from cluster.registry import DEFAULT

EXIT_SOME_FAILED = 3


def migrate(
    source: Annotated[
        Path, typer.Argument(help="A legacy store, or a .jsonl or .parquet file or folder.", show_default=False)
    ],
    dest: Annotated[Path, typer.Argument(help="A new folder, or that of a run to go on with.", show_default=False)],
    codec: CodecOption = DEFAULT,
    effort: EffortOption = EffortChoice.AUTO,
    latency_budget_ms: LatencyBudgetOption = None,
    engine: EngineOption = None,
    threads: ThreadsOption = None,
    registry: RegistryOption = None,
    payload_field: Annotated[
        str | None, typer.Option(help="JSON Lines, Parquet: the field that holds the payload. Without it: the line.")
    ] = None,
    key_field: Annotated[str | None, typer.Option(help="The field that holds the key. Without it: file:line.")] = None,
    class_field: Annotated[str | None, typer.Option(help="The field that holds the record's class.")] = None,
    max_record_bytes: Annotated[int, typer.Option(min=1, help="Larger records become dead letters.")] = 16 * 1024**2,
    address: AddressOption = None,
) -> None:
    """Re-encode a store into a folder of Parquet files with one blob a record.

    Each blob is decoded and compared with its source before it counts. A record that cannot be read or
    verified goes to dead-letters.jsonl with the reason. The source is only ever read. A run that was
    stopped goes on when the same command is given again.

    Example: `nbmf migrate ./old-store ./new-store --registry ./registry`.
    """
    from cluster.registry import Registry
    from cluster.session import session
    from cluster.sources import open_source
    from migrate_job import job
    from nbmf.engine import Engine

    how = {
        "effort": effort.value,
        "latency_budget_ms": latency_budget(effort, latency_budget_ms),
        "engine": Engine(engine.value if engine else "auto", threads or 1),
    }
    opened = open_source(
        source,
        payload_field=payload_field,
        key_field=key_field,
        class_field=class_field,
        max_record_bytes=max_record_bytes,
    )
    place = Registry(registry)
    version = place.resolve(codec)
    place.load(version)  # a damaged version is found here, not by workers
    with session(address):
        report = run_with_progress(job, opened, dest.absolute(), place.location, version, **how)
    Console().print(report_table(report))
    typer.echo(f"Report: {dest / job.REPORT}")
    if report.dead:
        typer.echo(f"{report.dead} records were not migrated: {dest / job.DEAD_LETTERS}")
        raise typer.Exit(EXIT_SOME_FAILED)


def run_with_progress(job: Any, source: Any, dest: Path, registry: str, version: str, **how: Any) -> Any:
    """`job.run`, with a bar; `how` is passed on."""
    from cluster.progress import progress

    with progress("shards") as bars:
        task = bars.add_task("migrating", total=None)
        migrated = 0

        def on_shard(counts: dict[str, Any]) -> None:
            nonlocal migrated
            migrated += counts["migrated"]
            bars.update(task, advance=1, description=f"migrating: {migrated:,} records")

        return job.run(
            source,
            dest,
            registry,
            version,
            **how,
            on_plan=lambda shards, done: bars.update(task, total=shards, completed=done),
            on_shard=on_shard,
        )


def report_table(report: Any) -> Table:
    """Totals for people."""
    table = Table(title="Migration", show_header=False)
    table.add_row("records in the source", f"{report.records:,}")
    table.add_row("migrated and verified", f"{report.migrated:,}")
    if report.previews:
        table.add_row("of these, previews of the stub (carried over as they are)", f"{report.previews:,}")
    for reason, count in sorted(report.dead_reasons.items()):
        table.add_row(f"dead letters: {reason}", f"{count:,}")
    table.add_row("bytes in the source", f"{report.source_bytes:,}")
    table.add_row("payload bytes", f"{report.payload_bytes:,}")
    table.add_row("blob bytes", f"{report.blob_bytes:,}")
    if report.blob_bytes:
        table.add_row("payload bytes / blob bytes", f"{report.payload_bytes / report.blob_bytes:.2f}")
        table.add_row("source bytes / blob bytes", f"{report.source_bytes / report.blob_bytes:.2f}")
    return table
