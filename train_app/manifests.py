"""`nbmf manifest trainjob`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.manifest_options import ImageOption, PlaceOption, load_cluster
from cluster.cli.options import LOCAL
from nbmf.places import is_uri

if TYPE_CHECKING:
    from cluster.manifests.config import ClusterConfig

TRAINING_FILE = "cluster/training.yaml"

_RECORDS = ("records", "validation", "test")


def trainjob(
    arguments: Annotated[
        list[str], typer.Argument(help="Options, as for `nbmf train`; after `--`.", show_default=False)
    ],
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", **LOCAL, help="YAML file to use in place of configs/cluster/training.yaml."),
    ] = None,
    image: ImageOption = None,
    registry: PlaceOption = None,
) -> None:
    """Print KubeRay's RayJob: a training run on a cluster of its own, with GPUs, which goes when it is done.

    Records and --runs are places that every node reaches. After a failure the job goes on from its last checkpoint, on
    as many workers as --workers allows.

    Example: `nbmf manifest trainjob --image REPOSITORY/nbmf:0.1.0-cuda -- -r /records/memory.jsonl --preset base --runs
    /runs --workers 1:2 | kubectl apply -f -`.
    """
    from cluster.manifests.text import to_yaml

    nodes = load_cluster(cluster, image, registry, TRAINING_FILE)
    typer.echo(to_yaml(train_job(arguments, nodes)), nl=False)


def train_job(arguments: Sequence[str], nodes: ClusterConfig) -> dict[str, Any]:
    """The RayJob. Raises click's UsageError for arguments that `nbmf train` does not take."""
    from cluster.manifests import kuberay

    _check(arguments)
    command = shlex.join(["nbmf", "train", "--address", "auto", *arguments])
    return kuberay.ray_job(nodes, f"{nodes.name}-training", command)


def _check(arguments: Sequence[str]) -> None:
    """Mistakes are to be found here, not after GPUs were started."""
    from train_app.cli import check_options, train

    command = typer.Typer(add_completion=False)
    command.command("train")(train)
    context = typer.main.get_command(command).make_context("nbmf train", list(arguments))
    parsed = context.params
    check_options(parsed)
    for name in ("address", "out"):
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name} is not for here: the manifest has it from the cluster")
    for name in _RECORDS:
        for place in parsed[name] or ():
            if not place.startswith("/") and not is_uri(place):
                raise typer.BadParameter(f"--{name} is an absolute path or a URI, the same on every node")
    for name, given in parsed.items():
        for path in given if isinstance(given, list | tuple) else [given]:
            if isinstance(path, Path) and not path.is_absolute():
                option = "--" + name.replace("_", "-")
                raise typer.BadParameter(f"{option} is an absolute path, of a volume that every node has")
