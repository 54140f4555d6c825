"""Options that several measurements share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from cluster.cli.options import EffortChoice
from nbmf.codec import Effort

DataOption: TypeAlias = Annotated[
    Path, typer.Option("--data", help="Records to measure on (.jsonl, .parquet, a folder).", show_default=False)
]

TrainOption: TypeAlias = Annotated[
    Path | None, typer.Option("--train", help="Records that zstd's dictionary and PPMd's prime are taken from.")
]

PayloadFieldOption: TypeAlias = Annotated[
    str | None, typer.Option("--payload-field", help="Field or column that holds the payload.")
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

JsonOption: TypeAlias = Annotated[Path | None, typer.Option("--json", help="Write the results there as JSON.")]


def efforts_of(choices: list[EffortChoice] | None) -> tuple[Effort, ...]:
    """The efforts to measure, in order."""
    named: tuple[Any, ...] = tuple(choice.value for choice in choices or (EffortChoice.MAX, EffortChoice.FAST))
    return named
