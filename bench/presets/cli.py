"""`nbmf bench presets`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from bench.options import DataOption, JsonOption, SetFieldOption, check_writable, write_json
from cluster.cli.options import PayloadFieldOption

PRESETS = ("none", "counts", "builtin", "finetune")
SIZES = (100, 300, 1000, 3000, 10_000)


def presets(
    data: DataOption,
    payload_field: PayloadFieldOption = None,
    set_field: SetFieldOption = None,
    only: Annotated[list[str] | None, typer.Option(help="A set to take; repeatable. [default: all]")] = None,
    size: Annotated[
        list[int] | None, typer.Option(min=20, help="Records to learn from; repeatable. [default: 100 to 10000]")
    ] = None,
    preset: Annotated[
        list[str] | None, typer.Option(help=f"A preset; repeatable. [default: {', '.join(PRESETS)}]")
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Wall-clock budget of each training of a network. [default: the preset's]"),
    ] = None,
    unseen: Annotated[int, typer.Option(min=1, help="Other records of the set to measure on.")] = 200,
    json_output: JsonOption = None,
) -> None:
    """What the presets of `nbmf train` make of few and of many records of a set, beside the built-in version.

    Total ratios of unseen records of the same set, whole blobs, each record coded alone. A set takes some minutes a
    size, and of presets that train a network as many more.
    """
    check_writable(json_output, "--json")
    from bench.presets import run as presets_bench
    from bench.records import read
    from cluster import config as configuration
    from cluster.progress import console, results
    from cluster.sources import open_source
    from train_app.cli import Preset
    from train_app.config import DEFAULT_FILE, TrainConfig

    config = configuration.load(TrainConfig, None, DEFAULT_FILE)
    if unknown := set(preset or ()) - {*Preset}:
        raise typer.BadParameter(f"no such preset: {min(unknown)}", param_hint="--preset")
    with console.status("reading records") as status:
        records = read(open_source(data, payload_field=payload_field, class_field=set_field, parse_json=True))
        chosen = [record for record in records if not only or record.set in only]
        tried = tuple(preset or PRESETS)
        rows = presets_bench.run(chosen, sorted(size or SIZES), unseen, tried, config, max_minutes, status.update)
    write_json(json_output, {"unseen": unseen, "rows": rows})
    results().print(table(rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a set and size; how long it took to learn is in the JSON."""
    names = list(rows[0]["ratios"])
    result = Table(title="raw bytes / coded bytes of unseen records")
    for column in ("set", "records", "bytes", *names):
        result.add_column(column, justify="left" if column == "set" else "right")
    for row in rows:
        ratios = [f"{row['ratios'][name]:.2f}" for name in names]
        result.add_row(row["set"], f"{row['records']:,}", f"{row['bytes']:,}", *ratios)
    return result
