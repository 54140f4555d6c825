"""`nbmf bench`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from bench.console import cli as console_cli
from bench.contents import cli as contents_cli
from bench.dicts import cli as dicts_cli
from bench.faults import cli as faults_cli
from bench.load.cli import load
from bench.migration.cli import migration
from bench.networks import ablations_cli, augmentation_cli
from bench.networks import cli as networks_cli
from bench.options import (
    DataOption,
    EffortsOption,
    EveryOption,
    JsonOption,
    SetFieldOption,
    TrainOption,
    efforts_of,
)
from bench.presets import cli as presets_cli
from bench.semantic import cli as semantic_cli
from bench.speed import cli as speed_cli
from bench.training import cli as training_cli
from bench.vectors import cli as vectors_cli
from cluster.cli.options import (
    CodecOption,
    EffortChoice,
    LatencyBudgetOption,
    PayloadFieldOption,
    PayloadOption,
    RegistryOption,
    effort_setting,
)
from cluster.registry import DEFAULT

bench = typer.Typer(help="Measure codec versions against other codecs.", no_args_is_help=True)

MAX_SHOWN = 20
"""Differences that are printed."""


@bench.callback()
def _group() -> None:
    pass


@bench.command()
def ratio(
    data: DataOption,
    train: TrainOption = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    set_field: SetFieldOption = None,
    apart: Annotated[
        list[str] | None, typer.Option(help="A set to leave out of the total, as it overlaps with --train. Repeatable.")
    ] = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    effort: EffortsOption = None,
    latency_budget_ms: LatencyBudgetOption = None,
    every: EveryOption = 1,
    processes: Annotated[int, typer.Option(min=1)] = 1,
    json_output: JsonOption = None,
) -> None:
    """Ratios by set: our whole blobs against zlib, zstd, brotli, xz, zstd with a dictionary and primed PPMd.

    Every record is encoded alone, decoded, and compared. PPMd is idealised: only the bytes that a
    record adds behind its 1 MB prime are counted. Needs the packages of the extra `bench`.
    """
    import json

    from bench import ratio as ratio_bench
    from bench.records import read
    from cluster.progress import progress, results
    from cluster.registry import Registry
    from cluster.sources import open_source

    place = Registry(registry)
    version = place.resolve(codec)
    place.load(version)
    fields: dict[str, Any] = {
        "payload_field": payload_field,
        "payload": payload,
        "class_field": set_field,
        "parse_json": True,
    }
    records = read(open_source(data, **fields))[::every]
    training = read(open_source(train, **fields)) if train else []
    left_out = frozenset(apart or [])
    efforts = efforts_of(effort)
    if latency_budget_ms is not None and "auto" not in efforts:
        raise typer.BadParameter("--latency-budget-ms is for --effort auto, which is not measured")
    budget = effort_setting(EffortChoice.AUTO, latency_budget_ms).latency_budget_ms
    with progress("records") as bars:
        task = bars.add_task("coding", total=len(records))
        report = ratio_bench.run(
            records,
            training,
            (place.location, version),
            efforts,
            left_out,
            processes,
            lambda n: bars.advance(task, n),
            budget,
        )
    if json_output:
        json_output.write_text(json.dumps(report, indent=1))
    results().print(table(report))
    for name, latency in report["latency_ms"].items():
        for what, times in latency.items():
            typer.echo(f"{name}, {what}: p50 {times['p50']} ms, p95 {times['p95']} ms, max {times['max']} ms a record")


@bench.command()
def exact(
    data: Annotated[str, typer.Option(help="Records to try (.jsonl, .parquet, a folder).", show_default=False)],
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    set_field: SetFieldOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    every: EveryOption = 1,
    mode: Annotated[
        list[str] | None,
        typer.Option(help="Only modes whose name holds this, beside the first; repeatable. [default: all]"),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Modes that run at the same time.")] = 1,
    json_output: JsonOption = None,
) -> None:
    """Check that a version's network gives the same integers for every record, however they are worked out.

    In the compiled core, one token and 16 at once, in PyTorch one by one, in batches and on 2 threads, and in both
    with code for older processors; in PyTorch on a GPU, where there is one. On each of them every record is also coded,
    decoded and compared. kB/s are of a mode that runs alone, with --processes 1. Exit code 1 if anything differs.

    Needs PyTorch. A million tokens take about an hour of one core, all modes together.
    """
    import json

    from bench.exact import comparison as exact_bench
    from cluster.progress import progress, results
    from cluster.registry import Registry
    from cluster.sources import open_source

    folder = exact_bench.version_folder(Registry(registry), codec)
    source = open_source(data, payload_field=payload_field, payload=payload, class_field=set_field, parse_json=True)
    with progress("records x modes") as bars:
        task = bars.add_task("comparing", total=None)
        report = exact_bench.run(
            source,
            folder,
            every,
            processes,
            lambda n: bars.update(task, total=n),
            lambda: bars.advance(task),
            mode or (),
        )
    if json_output:
        json_output.write_text(json.dumps(report, indent=1))
    results().print(exact_table(report))
    typer.echo(f"All streams together: {report['streams_sha256'][:32]}, the same on every machine and release.")
    for line in problems(report):
        typer.echo(line)
    if report["differences"] or any(row["failure"] for row in report["modes"]):
        raise typer.Exit(1)


@bench.command()
def attachments(codec: CodecOption = DEFAULT, registry: RegistryOption = None, json_output: JsonOption = None) -> None:
    """Bytes of records that hold binary as text: base64 images and signatures, embeddings in decimal.

    The records are generated; each is encoded, decoded and compared. Ours: without a version, fast and auto with it.
    """
    import json

    from bench import attachments as bench_attachments
    from cluster.progress import results
    from cluster.registry import Registry

    version = Registry(registry).load(codec)
    rows = [bench_attachments.measure(version, one) for one in bench_attachments.records()]
    if json_output:
        json_output.write_text(json.dumps(rows, indent=1))
    columns = [name for name in rows[0] if name != "coders"]
    result = Table(title="bytes", box=None, padding=(0, 1, 0, 0))
    for column in columns:
        left = column == "record"
        result.add_column(column.removeprefix("nbmf "), justify="left" if left else "right", no_wrap=left)
    for row in rows:
        result.add_row(row["record"], *[f"{row[column]:,}" for column in columns[1:]])
    results().print(result)


bench.command()(speed_cli.latency)
bench.command()(speed_cli.throughput)
bench.command()(speed_cli.large)
bench.command()(speed_cli.start)
bench.command()(dicts_cli.dicts)
bench.command()(faults_cli.faults)
bench.command()(console_cli.console)
bench.command()(contents_cli.contents)
bench.command()(speed_cli.phases)
bench.command()(presets_cli.presets)
bench.command()(networks_cli.architectures)
bench.command()(networks_cli.pruning)
bench.command()(augmentation_cli.augmentation)
bench.command()(ablations_cli.ablations)
bench.command()(semantic_cli.semantic)
bench.command()(training_cli.training)
bench.command()(vectors_cli.vectors)
bench.command()(load)
bench.add_typer(migration, name="migration")


def exact_table(report: dict[str, Any]) -> Table:
    """A line a mode."""
    result = Table(title=f"version {report['version'][:12]}: the same integers?")
    columns = ("mode", "records", "tokens", "equal", "different", "seconds", "encode kB/s", "decode kB/s", "processor")
    for column in columns:
        text = column in ("mode", "processor")
        result.add_column(column, justify="left" if text else "right", no_wrap=column != "processor")
    for row in report["modes"]:
        numbers = [f"{row[key]:,}" for key in columns[1:6]]
        speeds = [f"{row[key]:,}" if key in row else "" for key in ("encode_kb_per_s", "decode_kb_per_s")]
        result.add_row(row["name"], *numbers, *speeds, row.get("processor", ""))
    return result


def problems(report: dict[str, Any]) -> Iterator[str]:
    """What is to be told below the table: modes that failed, the first differences, records that were left out."""
    for row in report["modes"]:
        if row["failure"]:
            yield f"{row['name']}: failed with {row['failure']}"
    differences = report["differences"]
    for found in differences[:MAX_SHOWN]:
        yield f"record {found['record']} ({found['key']}) of set {found['set']}, {found['mode']}: {found['problem']}"
    if len(differences) > MAX_SHOWN:
        yield f"and {len(differences) - MAX_SHOWN:,} more differences (all are in the file that --json writes)"
    if report["left_to_other_coders"]:
        yield f"{report['left_to_other_coders']:,} records left out: the network does not code their kind or size"


def table(report: dict[str, Any]) -> Table:
    """A line a set: total ratio of each codec, and mean, p5 and min of our first column."""
    codecs = list(next(iter(report["sets"].values())))
    first = f"nbmf {report['efforts'][0]}"
    result = Table(title="raw bytes / coded bytes")
    for column in ("set", "records", *codecs, "mean", "p5", "min"):
        result.add_column(column, justify="left" if column == "set" else "right")
    for name, row in report["sets"].items():
        ours = row[first]
        result.add_row(
            name,
            f"{ours['records']:,}",
            *[f"{row[c]['total_ratio']:.2f}" for c in codecs],
            *[f"{ours[key]:.2f}" for key in ("mean_ratio", "p5_ratio", "min_ratio")],
        )
    return result
