"""What Serve itself is told, by a command and by a deployment manifest alike."""

from __future__ import annotations

from typing import Any

from serve_app.config import ServeConfig
from serve_app.grpc import registration

LOGGING: dict[str, Any] = {"encoding": "JSON", "log_level": "WARNING", "enable_access_log": False}
"""As JSON, lines have the request's id."""

_TIMEOUT_MARGIN_S = 5
"""Serve's own time limit is later than the service's, whose answer says more."""


def http_options(config: ServeConfig) -> dict[str, Any]:
    """Where Serve listens, and for how long it waits for an answer."""
    return {"host": config.host, "port": config.port, "request_timeout_s": _timeout_s(config)}


def grpc_options(config: ServeConfig) -> dict[str, Any] | None:
    """The same for gRPC; None where it is not served."""
    if config.grpc_port is None:
        return None
    return {
        "port": config.grpc_port,
        "grpc_servicer_functions": [registration.PATH],
        "request_timeout_s": _timeout_s(config),
    }


def _timeout_s(config: ServeConfig) -> float:
    return config.request_timeout_s + _TIMEOUT_MARGIN_S
