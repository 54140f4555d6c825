"""Options of the commands that read records as `nbmf train` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from cluster.cli.options import EXIT_SOME_FAILED, LOCAL

if TYPE_CHECKING:
    from cluster.sources import Source
    from cluster.sources.unread import Unread
    from train_app.config import TrainConfig
    from train_app.samples.opening import Reading
    from train_app.samples.reading import Intake


ClassFieldOption: TypeAlias = Annotated[
    str | None, typer.Option("--class-field", help="Field or column that holds the record's class.")
]

UnwrapOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--unwrap/--no-unwrap",
        help="Of records `{“id”, “domain”, “type”, “data”, “metadata”}` take `data`, and `domain` as the class; of "
        "`{“messages”}` and `{“conversations”}` the list. Not looked for where the payload is named.",
    ),
]

TrainConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", **LOCAL, help="YAML file to use in place of configs/train/dictionary.yaml."),
]

ReportOption: TypeAlias = Annotated[
    Path | None, typer.Option("--json", **LOCAL, help="File for the report as JSON.", show_default=False)
]


def load_config(path: Path | None) -> TrainConfig:
    """What `nbmf train` takes. Raises ConfigError."""
    from cluster import config
    from train_app.config import DEFAULT_FILE, TrainConfig

    return config.load(TrainConfig, path, DEFAULT_FILE)


def opened(paths: list[str], reading: Reading) -> tuple[list[Source], Unread]:
    """The sources, and what of them is not read, which is printed. Raises RecordsError."""
    from cluster.progress import console
    from cluster.sources.unread import Unread

    sources = reading.open(paths)
    unread = Unread.of(*sources)
    for line in unread.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return sources, unread


def refuse_among(out: Path, files: list[str]) -> None:
    """Raises BadParameter for a file to write that is one of those to read."""
    if any(out.exists() and Path(file).exists() and out.samefile(file) for file in files):
        raise typer.BadParameter(f"{out} is among the files to read; name another", param_hint="--out")


def end(intake: Intake, unread: Unread) -> None:
    """Exits with EXIT_SOME_FAILED if records were left out, or files could not be read."""
    if intake.rejections.counts or unread.faults:
        raise typer.Exit(EXIT_SOME_FAILED)


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """The report into the file that was asked for, if any."""
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n")
