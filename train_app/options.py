"""Options of the commands that read records as `nbmf train` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cluster.cli.options import LOCAL

if TYPE_CHECKING:
    from train_app.config import TrainConfig

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
