"""`nbmf migrate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

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
from migrate_job.tables import dry_run_table, report_table

EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130


def _verify(text: str) -> float:
    from migrate_job.verification import parse_verify

    try:
        return parse_verify(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


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
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="Only records of this class; may be given again for more.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many records (of these classes).", show_default=False)
    ] = None,
    fidelity_policy: Annotated[
        Path | None,
        typer.Option(help="YAML: `lossless` or `semantic` for classes, and `default`.", show_default="all lossless"),
    ] = None,
    verify: Annotated[
        Any,
        typer.Option(
            parser=_verify,
            metavar="all|sample:P",
            help="Which blobs are decoded and compared with their source: all, or a share P of them.",
        ),
    ] = "all",
    record_timeout_s: Annotated[
        float, typer.Option(min=1, help="A record that takes longer is a dead letter; more for records over 256 KiB.")
    ] = 60,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing: code a sample and estimate the rest from it.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=2, help="With --dry-run: about how many records to code.", show_default="500")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="With --dry-run: also write the estimates to this file, as JSON.")
    ] = None,
    address: AddressOption = None,
) -> None:
    """Re-encode a store into a folder of Parquet files with one blob a record.

    Each blob is decoded and compared with its source before it counts. A record that cannot be read or
    verified, or that crashes or hangs the process that codes it, goes to dead-letters.jsonl with the reason. The
    source is only ever read. A run that was stopped goes on when the same command is given again.

    With --dry-run, records of the whole source, evenly spaced, are coded, compared and thrown away, and sizes
    and times are estimated from them, each with a 95 % confidence range.

    Example: `nbmf migrate ./old-store ./new-store --registry ./registry`.
    """
    from cluster.registry import Registry
    from cluster.session import session
    from cluster.sources import open_source
    from migrate_job import job
    from migrate_job.policy import load_policy
    from nbmf.engine import Engine

    if not dry_run and (sample is not None or json_file is not None):
        raise typer.BadParameter("--sample and --json are for --dry-run")
    how: dict[str, Any] = {
        "effort": effort.value,
        "latency_budget_ms": latency_budget(effort, latency_budget_ms),
        "engine": Engine(engine.value if engine else "auto", threads or 1),
        "classes": tuple(classes or ()),
        "limit": limit,
        "verify": verify,
        "record_timeout_s": record_timeout_s,
    }
    if fidelity_policy is not None:
        policy = load_policy(fidelity_policy)
        how |= {"fidelity": policy.default, "fidelities": policy.classes()}
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
    if dry_run:
        with session(address):
            estimated = estimate(opened, dest.absolute(), place, version, sample, **how)
        Console().print(dry_run_table(estimated))
        if json_file is not None:
            json_file.write_text(json.dumps(estimated.to_dict(), indent=1) + "\n")
        return
    with session(address):
        report = run_with_progress(job, opened, dest.absolute(), place.location, version, **how)
    Console().print(report_table(report))
    typer.echo(f"Report: {dest / job.REPORT}, {dest / job.REPORT_PAGE}")
    if report.dead:
        typer.echo(f"{report.dead} records were not migrated: {dest / job.DEAD_LETTERS}")
        raise typer.Exit(EXIT_SOME_FAILED)


def estimate(source: Any, dest: Path, registry: Any, version: str, sample: int | None, **how: Any) -> Any:
    """A dry run in this process, with a bar; `how` is of the plan."""
    import ray

    from cluster.progress import progress
    from migrate_job.dry_run import SAMPLE_RECORDS, dry_run
    from migrate_job.listing import Listing
    from migrate_job.plan import Plan
    from migrate_job.selection import find_cut
    from nbmf.engine import configure

    configure(how["engine"].name, how["engine"].threads)
    codec = registry.load(version)
    codec.warm_up()
    cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    with progress("shards") as bars, Listing.of(source) as shards:
        task = bars.add_task("estimating", total=None)
        plan = Plan(source, shards, dest, registry.location, version, **{"fidelity": "lossless", **how})
        return dry_run(
            replace(plan, cut=find_cut(plan)),
            codec,
            cpus,
            sample or SAMPLE_RECORDS,
            on_shard=lambda done, shards: bars.update(task, completed=done, total=shards),
        )


def run_with_progress(job: Any, source: Any, dest: Path, registry: str, version: str, **how: Any) -> Any:
    """`job.run`, with a bar; `how` is passed on. Interrupted, it says what is done and exits."""
    from migrate_job.bar import Bar

    with Bar() as bar:
        try:
            return job.run(source, dest, registry, version, **how, on_plan=bar.on_plan, on_shard=bar.on_shard)
        except KeyboardInterrupt:
            bar.stop()
            typer.echo(f"Stopped: {bar.so_far()} The same command goes on.", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
