"""What Serve itself is told, by a command and by a deployment manifest alike."""

from __future__ import annotations

from typing import Any

from serve_app.config import ServeConfig

LOGGING: dict[str, Any] = {"encoding": "JSON", "log_level": "WARNING", "enable_access_log": False}
"""As JSON, lines have the request's id."""

_TIMEOUT_MARGIN_S = 5
"""Serve's own time limit is later than the service's, whose answer says more."""


def http_options(config: ServeConfig) -> dict[str, Any]:
    """Where Serve listens, and for how long it waits for an answer."""
    return {
        "host": config.host,
        "port": config.port,
        "request_timeout_s": config.request_timeout_s + _TIMEOUT_MARGIN_S,
    }
