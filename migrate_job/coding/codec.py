"""The version that a migration writes with, in the processes that code."""

from __future__ import annotations

from functools import lru_cache

from cluster.registry import Registry
from nbmf import Codec


@lru_cache(maxsize=2)
def load_codec(registry: str, version: str) -> Codec:
    """Loaded once a worker process, and tried: a version that cannot code is no fault of the records."""
    codec = Registry(registry).load(version)
    codec.warm_up()
    return codec
