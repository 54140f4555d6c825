"""Options that several measurements share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from cluster.cli.options import LOCAL, EffortChoice
from nbmf.effort import Effort

DataOption: TypeAlias = Annotated[
    str, typer.Option("--data", help="Records to measure on (.jsonl, .parquet, a folder).", show_default=False)
]

TrainOption: TypeAlias = Annotated[
    str | None, typer.Option("--train", help="Records that zstd's dictionary and PPMd's prime are taken from.")
]

SetFieldOption: TypeAlias = Annotated[
    str | None, typer.Option("--set-field", help="Field or column that names a record's set.")
]

EffortsOption: TypeAlias = Annotated[
    list[EffortChoice] | None,
    typer.Option(
        "--effort",
        help="Effort of ours to measure, each a column; repeatable. [default: max, fast]",
        show_default=False,
    ),
]

EveryOption: TypeAlias = Annotated[int, typer.Option("--every", min=1, help="Take every n-th record only.")]

JsonOption: TypeAlias = Annotated[Path | None, typer.Option("--json", **LOCAL, help="Write the results there as JSON.")]


def check_writable(path: Path | None, option: str) -> None:
    """Before minutes of measuring, not after."""
    if path and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"folder {path.absolute().parent} does not exist", param_hint=option)


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """The report into the file that was asked for, if any."""
    if path:
        path.write_text(json.dumps(report, indent=1))


def efforts_of(choices: list[EffortChoice] | None) -> tuple[Effort, ...]:
    """The efforts to measure, in order."""
    named: tuple[Any, ...] = tuple(choice.value for choice in choices or (EffortChoice.MAX, EffortChoice.FAST))
    return named
