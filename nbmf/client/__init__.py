"""Clients of a service, and the codec of this process behind the same interface.

>>> from nbmf.client import Client
>>> with Client("http://localhost:8000", api_key="nbmf_…") as client:
...     blob = client.encode("Remember the milk.")
"""

from nbmf.client.async_client import AsyncClient
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
