"""Environment variables of every container."""

from __future__ import annotations

from cluster.manifests.config import ClusterConfig
from cluster.registry import LOCATION_VARIABLE
from cluster.session import NODE_ENVIRONMENT


def environment(config: ClusterConfig) -> dict[str, str]:
    """What Ray and nbmf read; the configuration's own variables win."""
    return {
        **NODE_ENVIRONMENT,
        LOCATION_VARIABLE: config.registry,
        "NUMBA_CACHE_DIR": config.numba_cache_dir,
        **config.env,
    }
