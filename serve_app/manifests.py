"""`nbmf manifest serve` and `rayservice`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.manifest_options import ClusterOption, ImageOption, PlaceOption, load_cluster
from cluster.cli.options import LOCAL

if TYPE_CHECKING:
    from cluster.manifests.config import ClusterConfig
    from serve_app.config import ServeConfig, TlsConfig

PRODUCTION_FILE = "serve/production.yaml"

ConfigOption = Annotated[
    Path | None, typer.Option("--config", **LOCAL, help="YAML file to use in place of configs/serve/production.yaml.")
]


def serve(config: ConfigOption = None, cluster: ClusterOption = None, registry: PlaceOption = None) -> None:
    """Print what Serve's REST API takes: the service, declared for a Ray cluster whose nodes have nbmf.

    Example: `nbmf manifest serve > serve.yaml`, then `serve deploy serve.yaml --address http://HEAD:8265`. What else
    was declared there is deleted. The cluster's processes need the variables that `nbmf manifest cluster` sets.
    """
    from cluster.manifests.text import to_yaml
    from serve_app.declared import serve_body

    settings = load_service(config)
    if settings.tls is not None:
        _tell_environment(settings.tls)
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
    from cluster.manifests.environment import IMAGE_PROXY
    from cluster.manifests.kuberay import API_VERSION, cluster_spec, metadata
    from cluster.manifests.text import to_yaml
    from serve_app.declared import serve_body
    from serve_app.message_limits import raised_environment
    from serve_app.tls.nodes import node_environment

    variables = {} if settings.tls is None else node_environment(settings.tls, IMAGE_PROXY)
    variables |= nodes.env
    nodes = nodes.model_copy(update={"env": variables | raised_environment(settings, variables)})
    # KubeRay asks the port of this name whether a pod can serve.
    cluster = cluster_spec(nodes, nodes.name, {"serve": settings.port})
    if settings.tls is not None:
        for container in cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"]:
            container["readinessProbe"] = _readiness_probe(settings.port)
    return {
        "apiVersion": API_VERSION,
        "kind": "RayService",
        "metadata": metadata(nodes.name, nodes.name),
        "spec": {
            "serveConfigV2": to_yaml(serve_body(settings, nodes.registry)),
            "excludeHeadPodFromServeSvc": True,
            "rayClusterConfig": cluster,
        },
    }


def _readiness_probe(port: int) -> dict[str, Any]:
    """As KubeRay's own for workers that serve, which would ask in plain text."""
    wget = "wget --tries 1 -T 2 -q -O- --no-check-certificate"
    raylet, proxy = "http://localhost:52365/api/local_raylet_healthz", f"https://localhost:{port}/-/healthz"
    command = f"{wget} {raylet} | grep success && {wget} {proxy} | grep success"
    return {
        "exec": {"command": ["bash", "-c", command]},
        "initialDelaySeconds": 10,
        "timeoutSeconds": 5,
        "periodSeconds": 5,
        "failureThreshold": 1,
    }


def _tell_environment(tls: TlsConfig) -> None:
    """Tells, on standard error, with what variables Ray must be started on the nodes."""
    from cluster.manifests.environment import IMAGE_PROXY
    from cluster.progress import console
    from serve_app.tls.nodes import node_environment

    variables = " ".join(f"{name}={value}" for name, value in node_environment(tls, IMAGE_PROXY).items())
    console.print(f"nbmf: tls: start Ray on every node with {variables}", markup=False, highlight=False, soft_wrap=True)


def load_service(file: Path | None) -> ServeConfig:
    """The service's configuration; a service that asks for no key is worth a warning. Raises ConfigError."""
    from cluster import config as configuration
    from serve_app.config import ServeConfig
    from serve_app.deploy.exposure import warn_if_open
    from serve_app.tls.files import check_absolute

    settings = configuration.load(ServeConfig, file, PRODUCTION_FILE)
    warn_if_open(settings)
    if settings.tls is not None:
        check_absolute(settings.tls)
    return settings
