"""A Ray cluster as `ray up` knows it: machines reached by SSH, the image in a container on each."""

from __future__ import annotations

from math import ceil
from typing import Any

from cluster.errors import ConfigError
from cluster.manifests.config import AwsMachines, ClusterConfig
from cluster.manifests.environment import environment

HEAD, WORKER = "head", "worker"

_TOKEN = "~/.ray/auth_token"  # noqa: S105
"""Where Ray looks for it."""
_LIMIT_FILES = "ulimit -n 65536; "


def ray_up(config: ClusterConfig) -> dict[str, Any]:
    """The cluster's file. Raises ConfigError if no machines are configured."""
    machines = config.machines
    if machines is None:
        raise ConfigError("machines: needed for `ray up`: which instances to start, or which machines there are")
    variables = {**environment(config), "RAY_AUTH_MODE": config.auth}
    options = [f"-e {name}={value}" for name, value in variables.items()]
    options += [f"-v {volume.path}:{volume.path}" for volume in config.volumes]
    result: dict[str, Any] = {
        "cluster_name": config.name,
        "max_workers": config.workers.max,
        "idle_timeout_minutes": ceil(config.idle_timeout_s / 60),
        "auth": {"ssh_user": machines.ssh_user},
        "docker": {
            "image": config.image,
            "container_name": config.name,
            "run_options": [*options, "--ulimit nofile=65536:65536"],
        },
        "head_start_ray_commands": [
            "ray stop",
            f"{_LIMIT_FILES}ray start --head --port=6379 --num-cpus=0 --autoscaling-config=~/ray_bootstrap_config.yaml",
        ],
        "worker_start_ray_commands": ["ray stop", f"{_LIMIT_FILES}ray start --address=$RAY_HEAD_IP:6379"],
    }
    if config.auth == "token":
        result["file_mounts"] = {_TOKEN: _TOKEN}
    if isinstance(machines, AwsMachines):
        result["provider"] = machines.model_dump(include={"type", "region", "availability_zone"})
        result["head_node_type"] = HEAD
        result["available_node_types"] = {
            HEAD: {"node_config": {"InstanceType": machines.head_instance_type}, "resources": {"CPU": 0}},
            WORKER: {
                "node_config": {"InstanceType": machines.worker_instance_type},
                "resources": {},
                "min_workers": config.workers.min,
                "max_workers": config.workers.max,
            },
        }
    else:
        workers = list(machines.worker_ips)
        result["provider"] = {"type": "local", "head_ip": machines.head_ip, "worker_ips": workers}
        result |= {"min_workers": len(workers), "max_workers": len(workers)}
    return result
