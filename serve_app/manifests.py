"""`nbmf manifest serve` and `rayservice`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.manifests.options import ClusterOption, ImageOption, PlaceOption, load_cluster

if TYPE_CHECKING:
    from cluster.manifests.config import ClusterConfig
    from serve_app.config import ServeConfig

PRODUCTION_FILE = "serve/production.yaml"

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file to use in place of configs/serve/production.yaml.")
]


def serve(config: ConfigOption = None, cluster: ClusterOption = None, registry: PlaceOption = None) -> None:
    """Print what Serve's REST API takes: the service, declared for a Ray cluster whose nodes have nbmf.

    Example: `nbmf manifest serve > serve.yaml`, then `serve deploy serve.yaml --address http://HEAD:8265`. What else
    was declared there is deleted. The cluster's processes need the variables that `nbmf manifest cluster` sets.
    """
    from cluster.manifests.text import to_yaml
    from serve_app.declared import serve_body

    settings = load_service(config)
    typer.echo(to_yaml(serve_body(settings, load_cluster(cluster, registry=registry).registry)), nl=False)


def rayservice(
    config: ConfigOption = None,
    cluster: ClusterOption = None,
    image: ImageOption = None,
    registry: PlaceOption = None,
) -> None:
    """Print KubeRay's RayService: the cluster, and the service that is kept running on it.

    With a PodDisruptionBudget and a NetworkPolicy. Example: `nbmf manifest rayservice --image REPOSITORY/nbmf:0.1.0 |
    kubectl apply -f -`.
    """
    from cluster.manifests.kuberay import disruption_budget, network_policy
    from cluster.manifests.text import to_yaml

    settings = load_service(config)
    nodes = load_cluster(cluster, image, registry)
    manifests = (ray_service(settings, nodes), disruption_budget(nodes), network_policy(nodes, settings.port))
    typer.echo(to_yaml(*manifests), nl=False)


def ray_service(settings: ServeConfig, nodes: ClusterConfig) -> dict[str, Any]:
    """The RayService. A changed service is deployed in place, a changed cluster beside the old one."""
    from cluster.manifests.kuberay import API_VERSION, cluster_spec, metadata
    from cluster.manifests.text import to_yaml
    from serve_app.declared import serve_body

    return {
        "apiVersion": API_VERSION,
        "kind": "RayService",
        "metadata": metadata(nodes.name, nodes.name),
        "spec": {
            "serveConfigV2": to_yaml(serve_body(settings, nodes.registry)),
            "excludeHeadPodFromServeSvc": True,
            # KubeRay asks the port of this name whether a pod can serve.
            "rayClusterConfig": cluster_spec(nodes, nodes.name, {"serve": settings.port}),
        },
    }


def load_service(file: Path | None) -> ServeConfig:
    """The service's configuration; a service that asks for no key is worth a warning. Raises ConfigError."""
    from cluster import config as configuration
    from serve_app.config import ServeConfig
    from serve_app.exposure import warn_if_open

    settings = configuration.load(ServeConfig, file, PRODUCTION_FILE)
    warn_if_open(settings)
    return settings
