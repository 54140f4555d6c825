"""The service as Serve applications, built from a configuration and deployed on the Ray session at hand.

The main application has ingress, decoder and the rollout's controller; each version that encodes is one of its own.
"""

from __future__ import annotations

import logging
from typing import Any

from cluster import ray_internals
from cluster.errors import SessionError
from cluster.registry import BUILTIN, NONE, STUB, Registry
from cluster.session import starting
from nbmf.engine import Engine
from serve_app.config import ServeConfig
from serve_app.deploy.serve_options import LOGGING, grpc_options, http_options
from serve_app.isolation.trial import tried
from serve_app.replicas.replicas import Decoder, Encoder
from serve_app.routing.deployments import Target, encoder_target, sized
from serve_app.routing.encoders import Encoders, encoder_prefix
from serve_app.tls.nodes import check_nodes

APPLICATION = "nbmf"

_CONTROLLER_CPUS = 0.1
_APART = 64
"""Requests beside those that are worked at, wait for that or are on their way in: health, versions, the admin API."""


def deploy(config: ServeConfig, registry: Registry) -> str:
    """Deploys and returns the service's URL once it answers, its replicas warm.

    Raises VersionNotFound, DamagedCodec, EngineMissing; SessionError if Serve does not start, or listens elsewhere
    already; ConfigError if Ray was not started for the TLS asked for.
    """
    from ray import serve

    # Serve sets this when it is imported; its notes on starting are not for a terminal.
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    check_nodes(config)
    version = resolve_version(config, registry)
    targets = applications(config, registry.location, version)  # first: Serve keeps the address that it starts with
    with starting("Ray Serve did not start", "is the port free, and has the machine room? Its logs are with Ray's"):
        serve.start(http_options=http_options(config), grpc_options=grpc_options(config), logging_config=LOGGING)
    _check_address(config)
    run(targets, route_prefix="/")
    return config.url


def _check_address(config: ServeConfig) -> None:
    """Serve, once started, only logs that it goes on where it is. Raises SessionError."""
    host, port = ray_internals.http_address_of_serve()
    if (host, port) != (config.host, config.port):
        raise SessionError(
            f"Serve of this Ray cluster listens on {host}:{port} already, and on one address only: serve "
            f"there (host {host}, port {port}), or end what is served with `serve shutdown`"
        )


def run(targets: list[Target], route_prefix: str) -> None:
    """Runs the applications, the first of them under the prefix, and waits until they do. Raises SessionError."""
    from ray import serve

    wanted = [
        serve.RunTarget(target, name=name, route_prefix=None if index else route_prefix)
        for index, (name, target) in enumerate(targets)
    ]
    with starting("the service did not start", "what its replicas said is in Ray's logs"):
        serve.run_many(wanted)


def undeploy(name: str = APPLICATION) -> None:
    """Stops the service once the requests in work are answered. Serve itself ends with the Ray session."""
    from ray import serve

    serve.delete(name)  # first: its controller would start encoders anew
    for other in serve.status().applications:
        if other.startswith(encoder_prefix(name)):
            serve.delete(other)


def resolve_version(config: ServeConfig, registry: Registry) -> str:
    """The version to encode with; trying it, apart from all else, tells of a bad one before anything is started."""
    version = registry.resolve(config.version)
    if version not in (BUILTIN, NONE, STUB):
        tried(registry, version, Engine(config.engine, config.threads))
    registry.load(version)
    return version


def applications(
    config: ServeConfig,
    registry: str,
    version: str,
    name: str = APPLICATION,
    encoder: type = Encoder,
    decoder: type = Decoder,
) -> list[Target]:
    """The main application of this name, and the encoder of this version. The classes are those of replicas."""
    main = main_application(config, registry, version, name, encoder, decoder)
    return [(name, main), encoder_target(encoder, config, registry, version, name)]


def main_application(
    config: ServeConfig,
    registry: str,
    version: str,
    name: str = APPLICATION,
    encoder: type = Encoder,
    decoder: type = Decoder,
) -> Any:
    """Ingress, decoder and controller, bound to one another. The controller starts what encoders are missing."""
    from ray import serve

    from nbmf.protocol import RETRY_AFTER_S
    from serve_app.http.ingress import Ingress
    from serve_app.rollout.controller import RolloutController

    options = {"num_cpus": _CONTROLLER_CPUS}
    controller = serve.deployment(num_replicas=1, ray_actor_options=options)(RolloutController).bind(
        config, registry, version, name, encoder
    )
    decoders = sized(decoder, config.decoder, name="Decoder").bind(
        registry,
        version,
        Engine(config.engine, config.threads),
        config.batch,
        config.decoder_limits,
        controller if config.follows_rollouts else None,
    )
    busy = {"status_code": 429, "retry_after_s": RETRY_AFTER_S}
    begun = config.ingress.max_ongoing_requests + config.max_queued_requests + config.max_incoming_bodies + _APART
    size = config.ingress.model_copy(update={"max_ongoing_requests": begun})
    # As queued Serve counts also what it takes in the same moment, before any of that is handed on.
    ingress = sized(serve.ingress()(Ingress), size, max_queued_requests=begun, backpressure_config=busy)
    return ingress.bind(config, registry, version, Encoders(name), decoders, controller)
