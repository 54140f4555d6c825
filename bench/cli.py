"""`nbmf bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cluster.cli.options import CodecOption, RegistryOption
from cluster.registry import DEFAULT

bench = typer.Typer(help="Measure codec versions against other codecs.", no_args_is_help=True)


@bench.callback()
def _group() -> None:
    pass


@bench.command()
def ratio(
    data: Annotated[Path, typer.Option(help="Records to measure on (.jsonl, .parquet, a folder).", show_default=False)],
    train: Annotated[
        Path | None, typer.Option(help="Records that zstd's dictionary and PPMd's prime are taken from.")
    ] = None,
    payload_field: Annotated[str | None, typer.Option(help="Field or column that holds the payload.")] = None,
    set_field: Annotated[str | None, typer.Option(help="Field or column that names a record's set.")] = None,
    apart: Annotated[
        list[str] | None, typer.Option(help="A set to leave out of the total, as it overlaps with --train. Repeatable.")
    ] = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th record only.")] = 1,
    processes: Annotated[int, typer.Option(min=1)] = 1,
    json_output: Annotated[Path | None, typer.Option("--json", help="Write the results there as JSON.")] = None,
) -> None:
    """Ratios by set: our whole blobs against zlib, zstd, brotli, xz, zstd with a dictionary and primed PPMd.

    Every record is encoded alone, decoded, and compared. PPMd is idealised: only the bytes that a
    record adds behind its 1 MB prime are counted. Needs the packages of the extra `bench`.
    """
    import json

    from bench import ratio as ratio_bench
    from cluster.progress import progress
    from cluster.registry import Registry
    from cluster.sources import open_source

    place = Registry(registry)
    version = place.resolve(codec)
    place.load(version)
    fields: dict[str, Any] = {"payload_field": payload_field, "class_field": set_field, "parse_json": True}
    records = ratio_bench.read(open_source(data, **fields))[::every]
    training = ratio_bench.read(open_source(train, **fields)) if train else []
    left_out = frozenset(apart or [])
    with progress("records") as bars:
        task = bars.add_task("coding", total=len(records))
        report = ratio_bench.run(
            records, training, (place.location, version), left_out, processes, lambda n: bars.advance(task, n)
        )
    if json_output:
        json_output.write_text(json.dumps(report, indent=1))
    Console().print(table(report))
    for name, times in report["latency_ms"].items():
        typer.echo(f"{name}: p50 {times['p50']} ms, p95 {times['p95']} ms, max {times['max']} ms a record")


def table(report: dict[str, Any]) -> Table:
    """A line a set: total ratio of each codec, and mean, p5 and min of ours."""
    codecs = list(next(iter(report["sets"].values())))
    result = Table(title="raw bytes / coded bytes")
    for column in ("set", "records", *codecs, "mean", "p5", "min"):
        result.add_column(column, justify="left" if column == "set" else "right")
    for name, row in report["sets"].items():
        ours = row["nbmf"]
        result.add_row(
            name,
            f"{ours['records']:,}",
            *[f"{row[c]['total_ratio']:.2f}" for c in codecs],
            *[f"{ours[key]:.2f}" for key in ("mean_ratio", "p5_ratio", "min_ratio")],
        )
    return result
