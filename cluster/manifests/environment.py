"""Environment variables of every container."""

from __future__ import annotations

from cluster.manifests.config import ClusterConfig
from cluster.registry import LOCATION_VARIABLE
from cluster.session import NODE_ENVIRONMENT, PROXY_PROGRAM, PROXY_VARIABLE

IMAGE_PROXY = f"/home/ray/{PROXY_PROGRAM}"
"""Where configs/deploy/Dockerfile puts it."""


def environment(config: ClusterConfig) -> dict[str, str]:
    """What Ray and nbmf read; the configuration's own variables win."""
    return {
        **NODE_ENVIRONMENT,
        PROXY_VARIABLE: IMAGE_PROXY,
        LOCATION_VARIABLE: config.registry,
        **config.env,
    }
