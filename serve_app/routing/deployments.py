"""Classes as Serve deployments of the size that a configuration says."""

from __future__ import annotations

from typing import Any

from nbmf.engine import Engine
from serve_app.config import DeploymentConfig, ServeConfig
from serve_app.routing.encoders import encoder_name

Target = tuple[str, Any]
"""An application's name and what `serve.run` takes."""


def sized(cls: type, config: DeploymentConfig, **options: Any) -> Any:
    """The class as a deployment. Decorating it where it stands would make Ray pickle its module's globals."""
    from ray import serve

    sizes: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": config.num_cpus},
        "max_ongoing_requests": config.max_ongoing_requests,
        "autoscaling_config": {
            "min_replicas": config.min_replicas,
            "max_replicas": config.replica_limit,
            "target_ongoing_requests": config.target_ongoing_requests,
            "upscale_delay_s": config.upscale_delay_s,
            "downscale_delay_s": config.downscale_delay_s,
        },
    }
    return serve.deployment(**sizes, **options)(cls)


def encoder_target(cls: type, config: ServeConfig, registry: str, version: str, application: str) -> Target:
    """The encoder of one version, an application of its own."""
    engine = Engine(config.engine, config.threads)
    bound = sized(cls, config.encoder, name="Encoder").bind(
        registry, version, engine, config.batch, config.semantic.aim
    )
    return encoder_name(application, version), bound
