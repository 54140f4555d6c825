"""The Serve application: built from a configuration, deployed on the Ray session at hand."""

from __future__ import annotations

import logging
from typing import Any

from cluster.registry import Registry
from nbmf.engine import Engine
from serve_app.config import DeploymentConfig, ServeConfig

APPLICATION = "nbmf"

_CONTROLLER_CPUS = 0.1
_TIMEOUT_MARGIN_S = 5
"""Serve's own time limit is later than the service's, whose answer says more."""


def deploy(config: ServeConfig, registry: Registry) -> str:
    """Deploys and returns the service's URL once it answers, its replicas warm.

    Raises VersionNotFound, DamagedCodec, EngineMissing.
    """
    from ray import serve

    # Serve sets this when it is imported; its notes on starting are not for a terminal.
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    engine = Engine(config.engine, config.threads)
    version = resolve_version(config, registry)
    serve.start(
        http_options={
            "host": config.host,
            "port": config.port,
            "request_timeout_s": config.request_timeout_s + _TIMEOUT_MARGIN_S,
        },
        # As JSON, lines have the request's id.
        logging_config={"encoding": "JSON", "log_level": "WARNING", "enable_access_log": False},
    )
    serve.run(application(config, registry.location, version, engine), name=APPLICATION, route_prefix="/")
    return f"http://{config.host}:{config.port}"


def undeploy() -> None:
    """Stops the service once the requests in work are answered. Serve itself ends with the Ray session."""
    from ray import serve

    serve.delete(APPLICATION)


def resolve_version(config: ServeConfig, registry: Registry) -> str:
    """The version to encode with; loading it here tells of a damaged one before anything is started."""
    version = registry.resolve(config.version)
    registry.load(version)
    return version


def application(config: ServeConfig, registry: str, version: str, engine: Engine, name: str = APPLICATION) -> Any:
    """Ingress, encoder, decoder and the rollout's controller, bound to one another, to be run under this name."""
    from ray import serve

    from serve_app.answers import RETRY_AFTER_S
    from serve_app.ingress import Ingress
    from serve_app.replicas import Decoder, Encoder
    from serve_app.rollout.controller import RolloutController

    controller = None
    if config.follows_rollouts:
        options = {"num_cpus": _CONTROLLER_CPUS}
        controller = serve.deployment(num_replicas=1, ray_actor_options=options)(RolloutController).bind(registry, name)
    queued = config.max_queued_requests
    encoder = _sized(Encoder, config.encoder, max_queued_requests=queued).bind(registry, version, engine, controller)
    decoder = _sized(Decoder, config.decoder, max_queued_requests=queued).bind(
        registry, version, engine, config.max_payload_bytes, controller
    )
    retry = {"retry_after_s": RETRY_AFTER_S}
    ingress = _sized(serve.ingress()(Ingress), config.ingress, max_queued_requests=queued, backpressure_config=retry)
    return ingress.bind(config, registry, encoder, decoder, version, controller)


def _sized(cls: type, config: DeploymentConfig, **options: Any) -> Any:
    """The class as a deployment. Decorating it where it stands would make Ray pickle its module's globals."""
    from ray import serve

    sizes: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": config.num_cpus},
        "max_ongoing_requests": config.max_ongoing_requests,
        "autoscaling_config": {
            "min_replicas": config.min_replicas,
            "max_replicas": config.max_replicas,
            "target_ongoing_requests": config.target_ongoing_requests,
            "upscale_delay_s": config.upscale_delay_s,
            "downscale_delay_s": config.downscale_delay_s,
        },
    }
    return serve.deployment(**sizes, **options)(cls)
