"""The encoder applications of a service: one for each version that traffic goes to, or may go to in a moment."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from cluster import ray_internals
from serve_app.config import ServeConfig
from serve_app.routing.deployments import encoder_target
from serve_app.routing.encoders import encoder_name, encoder_prefix

_KEPT_S = 10.0
"""A version that traffic no longer goes to keeps its encoder so long: every ingress has read its new route by then."""

_LOOKED_EVERY_S = 10.0
"""At applications that are as wanted: Serve takes a tenth of a second of two processes to tell their status."""

_log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class EncoderState:
    """Whether a version can encode. `detail` is Serve's message of what failed."""

    state: Literal["running", "starting", "failed"]
    detail: str = ""


class EncoderApps:
    """Starts and ends them. `encoder` is the class of their replicas."""

    def __init__(self, encoder: type, config: ServeConfig, registry: str, application: str) -> None:
        self._encoder = encoder
        self._config = config
        self._registry = registry
        self._application = application
        self._unwanted_since: dict[str, float] = {}
        self._as_wanted: Collection[str] = ()
        self._looked_at = -math.inf

    def keep(self, wanted: Collection[str]) -> None:
        """Starts what is missing, without waiting for it, and ends what has not been wanted for a while.

        To be called every second or so.
        """
        names = {encoder_name(self._application, version): version for version in wanted}
        if names.keys() == self._as_wanted and time.monotonic() - self._looked_at < _LOOKED_EVERY_S:
            return
        from ray import serve

        applications = serve.status().applications
        there = {name for name in applications if name.startswith(encoder_prefix(self._application))}
        settled = there == names.keys() and all(applications[name].status == "RUNNING" for name in there)
        self._as_wanted, self._looked_at = there if settled else (), time.monotonic()
        for name in names.keys() - there:
            _log.warning("starting %s", name)
            self._start(names[name], max((_running(applications[other]) for other in there), default=0))
        now = time.monotonic()
        self._unwanted_since = {name: self._unwanted_since.get(name, now) for name in there - names.keys()}
        for name, since in self._unwanted_since.items():
            if now - since >= _KEPT_S:
                _log.warning("ending %s", name)
                serve.delete(name, _blocking=False)

    def _start(self, version: str, replicas: int) -> None:
        """With as many replicas as the others have: a share that grows must not find one too few."""
        size = self._config.encoder
        size = size.model_copy(update={"min_replicas": min(max(size.min_replicas, replicas), size.replica_limit)})
        config = self._config.model_copy(update={"encoder": size})
        name, target = encoder_target(self._encoder, config, self._registry, version, self._application)
        ray_internals.start_application(target, name)

    def state_of(self, version: str) -> EncoderState:
        """Of a version's encoder."""
        from ray import serve

        found: Any = serve.status().applications.get(encoder_name(self._application, version))
        if found is None:
            return EncoderState("starting")
        if found.status == "RUNNING":
            return EncoderState("running")
        if found.status == "DEPLOY_FAILED":  # but UNHEALTHY also is one of which a node was lost
            return EncoderState("failed", found.message or found.status)
        return EncoderState("starting")


def _running(application: Any) -> int:
    replicas: dict[str, int] = application.deployments["Encoder"].replica_states
    return replicas.get("RUNNING", 0)
