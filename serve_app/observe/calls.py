"""What is known of a request while it is answered. It ends as the request's line in the log."""

from __future__ import annotations

import math
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import Scope

_KEY = "nbmf.call"


@dataclass(slots=True)
class Call:
    """One request. Times are in seconds since the epoch; `api_key` is the name of a key, never a key; `status` is
    HTTP's number or gRPC's name."""

    request_id: str
    arrived: float
    deadline: float = math.inf
    status: int | str | None = None
    code: str | None = None
    api_key: str | None = None
    records: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0


def begin(scope: Scope, call: Call) -> None:
    """Makes `call_of` find the call."""
    scope[_KEY] = call


def call_of(request: HTTPConnection) -> Call:
    """The call that a request is."""
    call: Call = request.scope[_KEY]
    return call
