"""The warning about a service that is open to others."""

from __future__ import annotations

from cluster.progress import console
from serve_app.config import ServeConfig


def warn_if_open(config: ServeConfig) -> None:
    """Tells, on standard error, that other machines can reach a service that asks for no key, nor for a certificate."""
    if config.is_open and (config.tls is None or config.tls.client_ca_file is None):
        _warn(f"{config.host} is open to other machines")
    elif config.grpc_port is not None and not config.api_keys:
        _warn("replicas that speak gRPC are open to other machines, whatever host and tls say")


def _warn(what: str) -> None:
    console.print(
        f"nbmf: warning: {what} and no API key is asked for; see `nbmf api-key new`",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
