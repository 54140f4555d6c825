"""A Ray cluster as KubeRay's resources know it (ray.io/v1, KubeRay 1.5.1 or later)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from cluster.manifests.config import ClusterConfig, NodeConfig, VolumeConfig
from cluster.manifests.environment import environment

API_VERSION = "ray.io/v1"
NAME_LABEL, INSTANCE_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/instance"
COMPONENT_LABEL = "app.kubernetes.io/component"
HEAD, WORKER = "head", "worker"

_USER = 1000
"""Of Ray's images; as a group too, that it may write to volumes."""

_JOB_RETRIES = 3
_JOB_KEPT_S = 3600
"""For so long the cluster of a job that ended is there, for its logs."""

_PRE_STOP_S = 15
"""A pod that is to go still works for so long, until load balancers know that it goes."""


def cluster_spec(config: ClusterConfig, instance: str, ports: dict[str, int] | None = None) -> dict[str, Any]:
    """RayClusterSpec: `rayClusterConfig` of a RayService, `rayClusterSpec` of a RayJob.

    `instance` is the resource's name; `ports` are containers' ports by name, beside Ray's own.
    """
    spec: dict[str, Any] = {
        "rayVersion": version("ray"),
        "authOptions": {"mode": config.auth},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"idleTimeoutSeconds": config.idle_timeout_s},
    }
    if config.redis is not None:
        secret = {"name": config.redis.password_secret, "key": config.redis.password_key}
        spec["gcsFaultToleranceOptions"] = {
            "redisAddress": config.redis.address,
            "redisPassword": {"valueFrom": {"secretKeyRef": secret}},
        }
    head_ports = {"gcs": 6379, "dashboard": 8265, "metrics": 8080, **(ports or {})}
    # KubeRay's operator must reach the dashboard; others are kept out by token and network policy.
    spec["headGroupSpec"] = {
        "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},  # noqa: S104
        "template": _pod(config, instance, HEAD, config.head, head_ports),
    }
    workers = config.workers
    spec["workerGroupSpecs"] = [
        {
            "groupName": "workers",
            "replicas": workers.min,
            "minReplicas": workers.min,
            "maxReplicas": workers.max,
            "rayStartParams": {},
            "template": _pod(config, instance, WORKER, workers, {"metrics": 8080, **(ports or {})}),
        }
    ]
    return spec


def ray_job(config: ClusterConfig, name: str, entrypoint: str) -> dict[str, Any]:
    """RayJob: a command on a cluster of its own, which is repeated after a failure, and goes when it is done."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RayJob",
        "metadata": metadata(name, name),
        "spec": {
            "entrypoint": entrypoint,
            "backoffLimit": _JOB_RETRIES,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _JOB_KEPT_S,
            "rayClusterSpec": cluster_spec(config, name),
        },
    }


def metadata(name: str, instance: str) -> dict[str, Any]:
    """Of the resource of this name, or of one that belongs to it."""
    return {"name": name, "labels": {NAME_LABEL: "nbmf", INSTANCE_LABEL: instance}}


def disruption_budget(config: ClusterConfig) -> dict[str, Any]:
    """That Kubernetes takes one worker away at a time, of its own accord."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(f"{config.name}-workers", config.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _labels(config.name, WORKER)}},
    }


def network_policy(config: ClusterConfig, port: int) -> dict[str, Any]:
    """That strangers reach the service's port only: Ray's own run programs for whoever reaches them."""
    own_pods = {"podSelector": {"matchLabels": {INSTANCE_LABEL: config.name}}}
    operator = {"namespaceSelector": {}, "podSelector": {"matchLabels": {NAME_LABEL: "kuberay-operator"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(config.name, config.name),
        "spec": {
            **own_pods,
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [own_pods]},
                {"from": [operator], "ports": [{"protocol": "TCP", "port": 8265}, {"protocol": "TCP", "port": port}]},
                {"ports": [{"protocol": "TCP", "port": port}]},
            ],
        },
    }


def _labels(instance: str, component: str) -> dict[str, str]:
    return {NAME_LABEL: "nbmf", INSTANCE_LABEL: instance, COMPONENT_LABEL: component}


def _pod(
    config: ClusterConfig, instance: str, component: str, node: NodeConfig, ports: dict[str, int]
) -> dict[str, Any]:
    """A pod template. Probes are left to KubeRay, whose own ask the raylet, and a worker's the HTTP proxy on it."""
    resources: dict[str, Any] = {"cpu": str(node.cpus), "memory": f"{node.memory_gib}Gi"}
    if node.gpus:
        resources["nvidia.com/gpu"] = str(node.gpus)
    container: dict[str, Any] = {
        "name": f"ray-{component}",
        "image": config.image,
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "env": [{"name": name, "value": value} for name, value in environment(config).items()],
        "resources": {"requests": resources, "limits": dict(resources)},
        "volumeMounts": [{"name": volume.name, "mountPath": volume.path} for volume in config.volumes],
    }
    if config.secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in config.secrets]
    if component == WORKER:
        seconds = min(_PRE_STOP_S, config.termination_grace_s // 2)
        container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {seconds}; ray stop"]}}}
    labels = _labels(instance, component)
    return {
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": config.termination_grace_s,
            "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "fsGroup": _USER},
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": labels},
                }
            ],
            "containers": [container],
            "volumes": [{"name": volume.name, **_source(volume)} for volume in config.volumes],
        },
    }


def _source(volume: VolumeConfig) -> dict[str, Any]:
    if volume.secret is not None:
        # The group, which is the containers', may read what others may not.
        return {"secret": {"secretName": volume.secret, "defaultMode": 0o440}}
    if volume.claim is not None:
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    return {"emptyDir": {}}
