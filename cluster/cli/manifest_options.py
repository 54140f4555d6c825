"""Options that the commands of `nbmf manifest` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cluster import config as configuration
from cluster.cli.options import LOCAL
from cluster.manifests.config import DEFAULT_FILE, ClusterConfig

ClusterOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--cluster", **LOCAL, help="YAML file to use in place of configs/cluster/production.yaml."),
]

ImageOption: TypeAlias = Annotated[
    str | None, typer.Option("--image", help="Container image that has nbmf; overrides the file.")
]

PlaceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--registry",
        help="Absolute path or URI of the codec registry, as every node reaches it; overrides the file.",
        metavar="PLACE",
    ),
]


def load_cluster(
    file: Path | None, image: str | None = None, registry: str | None = None, default: str = DEFAULT_FILE
) -> ClusterConfig:
    """The cluster's configuration. Raises ConfigError."""
    return configuration.load(ClusterConfig, file, default, {"image": image, "registry": registry})
