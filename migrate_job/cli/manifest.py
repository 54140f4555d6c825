"""`nbmf manifest rayjob`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.manifest_options import ClusterOption, ImageOption, PlaceOption, load_cluster
from cluster.cli.options import EXIT_SOME_FAILED
from nbmf.places import is_uri

if TYPE_CHECKING:
    from cluster.manifests.config import ClusterConfig


def rayjob(
    arguments: Annotated[
        list[str],
        typer.Argument(help="SOURCE DEST and options, as for `nbmf migrate`; after `--`.", show_default=False),
    ],
    cluster: ClusterOption = None,
    image: ImageOption = None,
    registry: PlaceOption = None,
) -> None:
    """Print KubeRay's RayJob: a migration on a cluster of its own, which goes when it is done.

    SOURCE and DEST are places that every node reaches. The job goes on where it was after a failure. Records that are
    not migrated do not fail it: they are in DEST/dead-letters.jsonl.

    Example: `nbmf manifest rayjob --image REPOSITORY/nbmf:0.1.0 -- /stores/old /stores/new --effort max |
    kubectl apply -f -`.
    """
    from cluster.manifests.text import to_yaml

    typer.echo(to_yaml(ray_job(arguments, load_cluster(cluster, image, registry))), nl=False)


def ray_job(arguments: Sequence[str], nodes: ClusterConfig) -> dict[str, Any]:
    """The RayJob. Raises click's UsageError for arguments that `nbmf migrate` does not take."""
    from cluster.manifests import kuberay

    return kuberay.ray_job(nodes, f"{nodes.name}-migration", entrypoint(arguments))


def entrypoint(arguments: Sequence[str]) -> str:
    """The command of the job, which ends well too if only single records were not migrated."""
    _check(arguments)
    command = shlex.join(["nbmf", "migrate", "--address", "auto", *arguments])
    return f"{command} || [ $? -eq {EXIT_SOME_FAILED} ]"


def _check(arguments: Sequence[str]) -> None:
    """Mistakes are to be found here, not after a cluster was started."""
    from migrate_job.cli.migrate import run

    command = typer.Typer(add_completion=False)
    command.command("migrate")(run)
    parsed = typer.main.get_command(command).make_context("nbmf migrate", list(arguments)).params
    for name in ("address", "registry"):
        if any(given.partition("=")[0] == f"--{name}" for given in arguments):
            raise typer.BadParameter(f"--{name} is not for here: the manifest has it from the cluster")
    source, dest = parsed["source"], parsed["dest"]
    if not source.startswith("/") and not is_uri(source):
        raise typer.BadParameter("SOURCE is an absolute path or a URI, the same on every node")
    if dest is not None and not dest.startswith("/"):
        raise typer.BadParameter("DEST is an absolute path, the same on every node")
