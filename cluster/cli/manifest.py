"""`nbmf manifest`: the cluster's own here, those of the apps found as entry points `nbmf.manifests`."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from cluster.cli.manifest_options import ClusterOption, ImageOption, PlaceOption, load_cluster

app = typer.Typer(help="Print deployment manifests: for Serve's REST API, KubeRay and `ray up`.", no_args_is_help=True)


@app.command()
def cluster(config: ClusterOption = None, image: ImageOption = None, registry: PlaceOption = None) -> None:
    """Print the file of a cluster for `ray up`.

    Example: `nbmf manifest cluster --image REPOSITORY/nbmf:0.1.0 > cluster.yaml`, then `ray up cluster.yaml`.
    With `auth: token`, `ray get-auth-token --generate` makes the token that the cluster is given.
    """
    from cluster.manifests.ray_up import ray_up
    from cluster.manifests.text import to_yaml

    typer.echo(to_yaml(ray_up(load_cluster(config, image, registry))), nl=False)


for _entry in sorted(entry_points(group="nbmf.manifests"), key=lambda e: e.name):
    app.command(_entry.name)(_entry.load())
