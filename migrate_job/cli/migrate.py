"""`nbmf migrate`, `nbmf migrate commit` and `nbmf migrate rollback`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.options import (
    EXIT_SOME_FAILED,
    LOCAL,
    AddressOption,
    CodecOption,
    EffortChoice,
    EffortOption,
    EngineOption,
    LatencyBudgetOption,
    PayloadFieldOption,
    PayloadOption,
    RegistryOption,
    TableOption,
    ThreadsOption,
    effort_setting,
)
from cluster.progress import console, results
from cluster.registry import DEFAULT
from migrate_job.cli.choice import Form, choose
from migrate_job.cli.group import DefaultCommandGroup
from migrate_job.cli.in_place import commit, rollback
from migrate_job.cli.tables import dry_run_table, report_table
from nbmf.encryption import KEY_VARIABLE, load_key

if TYPE_CHECKING:
    from cluster.registry import Registry
    from cluster.sources import Source
    from migrate_job.destinations import Destination
    from migrate_job.dry_run import DryRun
    from migrate_job.plan.options import Options
    from migrate_job.report.report import Report
    from nbmf.store.folder import Folder

EXIT_INTERRUPTED = 130


def _verify(text: str) -> float:
    from migrate_job.plan.verification import parse_verify

    try:
        return parse_verify(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _cosine(text: str) -> float:
    from nbmf.vectors.aim import Aim

    try:
        return Aim(least_cosine=float(text)).least_cosine
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


migrate = typer.Typer(
    cls=DefaultCommandGroup,
    help="Migrate a store; a migration in place is then committed or rolled back.",
    no_args_is_help=True,
)
migrate.command()(commit)
migrate.command()(rollback)


@migrate.command()
def run(
    source: Annotated[
        str,
        typer.Argument(
            help="A file: .jsonl or .json (also .gz, .zst, .bz2, .xz), .parquet, SQLite; a folder that has files of "
            "JSON or of Parquet in it, at any depth; a legacy store; a data set of nbmf. A path, or a URI as "
            "`s3://bucket/folder`.",
            show_default=False,
        ),
    ],
    dest: Annotated[
        str | None,
        typer.Argument(
            help="A new folder for a Parquet data set, a path or a URI as `s3://bucket/folder`; a new .sqlite file; or "
            "that of a run to go on with.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Form | None, typer.Option("--to", help="What to write.", show_default="sqlite for *.sqlite and *.db")
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Instead of DEST: replace each record file of a legacy store."),
    ] = False,
    codec: CodecOption = DEFAULT,
    effort: EffortOption = EffortChoice.AUTO,
    latency_budget_ms: LatencyBudgetOption = None,
    engine: EngineOption = None,
    threads: ThreadsOption = None,
    registry: RegistryOption = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    key_field: Annotated[
        str | None, typer.Option(help="The field that holds the key. Without it: the file and the line or row.")
    ] = None,
    class_field: Annotated[str | None, typer.Option(help="The field that holds the record's class.")] = None,
    table: TableOption = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="What the source is, if that is not plain: `legacy`, `jsonl`, `parquet`, `sqlite`, `dataset`; or a "
            "source of your own, as `package.module:Class`.",
            show_default=False,
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            **LOCAL,
            help=f"File with the secret that encrypted records are read with. Without it: {KEY_VARIABLE} of the "
            "environment.",
            show_default=False,
        ),
    ] = None,
    max_record_bytes: Annotated[int, typer.Option(min=1, help="Larger records become dead letters.")] = 16 * 1024**2,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links in a folder that lead out of it, too.")
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="Only records of this class; may be given again for more.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many records (of these classes).", show_default=False)
    ] = None,
    fidelity_policy: Annotated[
        Path | None,
        typer.Option(
            **LOCAL, help="YAML: `lossless` or `semantic` for classes, and `default`.", show_default="all lossless"
        ),
    ] = None,
    least_cosine: Annotated[
        Any,
        typer.Option(
            parser=_cosine,
            metavar="COSINE",
            help="Of classes whose fidelity is semantic: of each vector with what it decodes to, else it is kept more "
            "closely, or whole.",
        ),
    ] = "0.98",
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
        Path | None,
        typer.Option("--json", **LOCAL, help="With --dry-run: also write the estimates to this file, as JSON."),
    ] = None,
    address: AddressOption = None,
) -> None:
    """Re-encode a store: into a Parquet data set, a SQLite file, or in place.

    Each blob is decoded and compared with its source before it counts. A record that cannot be read or
    verified, or that crashes or hangs the process that codes it, goes to dead-letters.jsonl with the reason. The
    source is only ever read, unless --in-place: then the originals are kept until `nbmf migrate commit`, and
    `nbmf migrate rollback` puts them back. A run that was stopped goes on when the same command is given again.

    With --dry-run, records of the whole source, evenly spaced, are coded, compared and thrown away, and sizes
    and times are estimated from them, each with a 95 % confidence range.

    Example: `nbmf migrate ./old-store ./new-store --registry ./registry`.
    """
    from cluster.registry import STUB, Registry
    from cluster.session import session
    from cluster.sources import open_source
    from cluster.sources.unread import Unread
    from migrate_job.destinations.in_place_source import InPlaceRecords
    from migrate_job.plan.options import Options
    from migrate_job.plan.policy import load_policy
    from nbmf.engine import Engine
    from nbmf.fidelity_policy import FidelityPolicy
    from nbmf.store.layout import DEAD_LETTERS, REPORT, REPORT_PAGE
    from nbmf.vectors.aim import Aim

    if not dry_run and (sample is not None or json_file is not None):
        raise typer.BadParameter("--sample and --json are for --dry-run")
    options = Options(
        fidelity=load_policy(fidelity_policy) if fidelity_policy else FidelityPolicy(),
        aim=Aim(least_cosine=least_cosine),
        effort=effort_setting(effort, latency_budget_ms),
        engine=Engine(engine.value if engine else "auto", threads or 1),
        classes=tuple(classes or ()),
        limit=limit,
        verify=verify,
        record_timeout_s=record_timeout_s,
    )
    place = Registry(registry)
    key = load_key(key_file)
    chosen = choose(source, dest, to, in_place, key)
    if in_place and not dry_run:
        opened: Source = InPlaceRecords(Path(source).expanduser().absolute(), key, max_record_bytes)
    else:
        opened = open_source(
            source,
            reader=reader,
            payload_field=payload_field,
            payload=payload,
            key_field=key_field,
            class_field=class_field,
            table=table,
            max_record_bytes=max_record_bytes,
            key=key,
            registry=place.location,
            follow_links=follow_links,
        )
    for line in Unread.of(opened).lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    version = place.resolve(codec)
    if version == STUB:
        raise typer.BadParameter("the stub is what is migrated from: name a version", param_hint="--codec")
    place.load(version)  # a damaged version is found here, not by workers
    if dry_run:
        with session(address) if address else nullcontext():
            estimated = estimate(opened, chosen.folder, place, version, options, sample)
        results().print(dry_run_table(estimated))
        if json_file is not None:
            json_file.write_text(json.dumps(estimated.to_dict(), indent=1) + "\n")
        return
    # A cluster that was named is reached, or an error, however little there is to do.
    with session(address) if address else nullcontext():
        report = run_with_progress(opened, chosen.folder, place.location, version, options, chosen.target)
    results().print(report_table(report))
    typer.echo(f"Report: {chosen.folder}/{REPORT}, {chosen.folder}/{REPORT_PAGE}")
    if in_place:
        typer.echo(f"The originals are kept until `nbmf migrate commit {source}`; `rollback` puts them back.")
    if report.dead:
        typer.echo(f"{report.dead} records were not migrated: {chosen.folder}/{DEAD_LETTERS}")
    if report.unread.faults:
        typer.echo(f"{report.unread.faults} files or folders of the source could not be read: see the report.")
    if report.dead or report.unread.faults:
        raise typer.Exit(EXIT_SOME_FAILED)


def estimate(
    source: Source, dest: Folder, registry: Registry, version: str, options: Options, sample: int | None
) -> DryRun:
    """A dry run in this process, with a bar."""
    from cluster.progress import progress
    from cluster.session import cpus_of_workers
    from migrate_job.dry_run import SAMPLE_RECORDS, dry_run
    from migrate_job.plan.listing import Listing
    from migrate_job.plan.plan import Plan
    from migrate_job.plan.selection import find_cut
    from nbmf.engine import configure

    configure(options.engine.name, options.engine.threads)
    codec = registry.load(version)
    codec.warm_up()
    with progress("shards") as bars, Listing.of(source) as shards:
        task = bars.add_task("estimating", total=None)
        plan = Plan(source, shards, dest, registry.location, version, options)
        return dry_run(
            replace(plan, cut=find_cut(plan)),
            codec,
            cpus_of_workers(),
            sample or SAMPLE_RECORDS,
            on_shard=lambda done, shards: bars.update(task, completed=done, total=shards),
        )


def run_with_progress(
    source: Source,
    dest: Path | Folder,
    registry: str,
    version: str,
    options: Options | None = None,
    target: Destination | None = None,
) -> Report:
    """`job.run`, with a bar. Interrupted, it says what is done and exits."""
    from migrate_job import job
    from migrate_job.report.bar import Bar

    with Bar() as bar:
        try:
            return job.run(source, dest, registry, version, options, target, on_plan=bar.on_plan, on_shard=bar.on_shard)
        except KeyboardInterrupt:
            bar.stop()
            typer.echo(f"Stopped: {bar.so_far()} The same command goes on.", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
