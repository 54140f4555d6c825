"""Sizes of the gRPC messages that a configuration needs: between ingress and replicas, and between clients and ingress.

Ray reads them from the environment when it starts, so they cannot follow the configuration by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.errors import ConfigError
from cluster.session import NODE_ENVIRONMENT
from serve_app.config import ServeConfig

REPLICA_VARIABLE = "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH"
CLIENT_VARIABLE = "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE"

_SERVES_OWN_BYTES = {REPLICA_VARIABLE: 4 * 1024 * 1024, CLIENT_VARIABLE: 2**31 - 1}
_BESIDE_BYTES = 1024 * 1024
_A_RECORD_BYTES = 1024
"""Of a message, beside a record's own: its place in a batch, or why it failed."""


def needed_bytes(config: ServeConfig) -> dict[str, int]:
    """What the variables must be at least."""
    beside = _BESIDE_BYTES + _A_RECORD_BYTES * config.max_batch_records
    largest = max(config.max_body_bytes, config.max_payload_bytes, config.max_batch_payload_bytes)
    needed = {REPLICA_VARIABLE: config.max_payload_bytes + beside}
    return needed | ({CLIENT_VARIABLE: largest + beside} if config.grpc_port is not None else {})


def raised_environment(config: ServeConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that must be set to more than NODE_ENVIRONMENT, or the user, has them."""
    given = NODE_ENVIRONMENT | dict(environment)
    return {name: str(size) for name, size in needed_bytes(config).items() if _bytes(name, given) < size}


def check_message_limits(config: ServeConfig, environment: Mapping[str, str]) -> None:
    """Raises ConfigError if Ray was started with too little in these variables."""
    short = [f"{name}={size}" for name, size in needed_bytes(config).items() if _bytes(name, environment) < size]
    if short:
        raise ConfigError(
            f"max_payload_bytes and max_body_bytes are more than Ray was started for; start it on every node with "
            f"{' '.join(short)}, or lower them"
        )


def _bytes(name: str, environment: Mapping[str, str]) -> int:
    value = environment.get(name, "")
    return int(value) if value.isdecimal() else _SERVES_OWN_BYTES[name]
