"""Clients of a service, and the codec of this process behind the same interface.

>>> from nbmf.client import Client
>>> with Client("http://localhost:8000", api_key="nbmf_…") as client:
...     blob = client.encode("Remember the milk.")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbmf.client.errors import (
    BadAnswer,
    BadRequest,
    ClientConfigError,
    ConnectionLost,
    DeadlineExceeded,
    Forbidden,
    RequestTooLarge,
    ServiceError,
    ServiceFault,
    Unauthorized,
    Unavailable,
)
from nbmf.client.interface import CodecClient, Health, Version
from nbmf.client.local import LocalClient
from nbmf.client.retries import RetryPolicy
from nbmf.extras import require

if TYPE_CHECKING:
    from nbmf.client.async_client import AsyncClient
    from nbmf.client.sync_client import Client

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "BadRequest",
    "Client",
    "ClientConfigError",
    "CodecClient",
    "ConnectionLost",
    "DeadlineExceeded",
    "Forbidden",
    "Health",
    "LocalClient",
    "RequestTooLarge",
    "RetryPolicy",
    "ServiceError",
    "ServiceFault",
    "Unauthorized",
    "Unavailable",
    "Version",
]


def __getattr__(name: str) -> Any:
    """Those that need httpx, when they are asked for: LocalClient does without."""
    if name not in ("AsyncClient", "Client"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("a client of a service", "httpx")
    from nbmf.client import async_client, sync_client

    return async_client.AsyncClient if name == "AsyncClient" else sync_client.Client
