"""`nbmf train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.cli.options import AddressOption
from cluster.registry import default_location


def train(
    records: Annotated[
        list[Path],
        typer.Option(
            "--records",
            "-r",
            help="Records to learn from: a .jsonl or .parquet file, a folder of them, or a legacy store. Repeatable.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            envvar="NBMF_REGISTRY",
            help="Registry to publish the version in; its first version becomes stable.",
            default_factory=default_location,
            show_default="~/.nbmf/registry",
        ),
    ],
    name: Annotated[str, typer.Option(help="A name for people.")] = "trained",
    payload_field: Annotated[
        str | None, typer.Option(help="Field or column that holds the payload. Without it: the whole line.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file to use in place of configs/train/dictionary.yaml.")
    ] = None,
    address: AddressOption = None,
) -> None:
    """Train a codec version on your records, measure it on held-out ones, publish it.

    Records are read in parallel, validated and de-duplicated; a tenth, chosen by hash, is kept back to
    measure on. In Parquet, text that is a JSON object or array is learnt as JSON.

    Example: `nbmf train -r memory.jsonl -o ./registry`, then `nbmf serve --registry ./registry`.
    """
    from cluster import config as configuration
    from cluster.registry import Registry
    from cluster.session import session
    from cluster.sources import open_source
    from train_app import job, report
    from train_app.config import DEFAULT_FILE, TrainConfig

    settings = configuration.load(TrainConfig, config, DEFAULT_FILE)
    registry = Registry(out)
    sources = [open_source(path, payload_field=payload_field, parse_json=True) for path in records]
    with session(address):
        trained = job.run(sources, registry, settings, name)
    terminal = Console()
    terminal.print(report.ratio_table(trained.measured, "Held-out records: raw bytes / coded bytes"))
    stable = registry.channels().stable == trained.version_id
    typer.echo(f"Published {trained.version_id} in {registry.location}{' as stable' if stable else ''}.")
    if not stable:
        typer.echo(f"To use it: nbmf versions promote {trained.version_id[:12]} --registry {registry.location}")
