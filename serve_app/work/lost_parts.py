"""What is raised where a part of the service is lost: a replica, its node, Serve's controller, the way between them.

None of it is a fault of the request or of the program: the same call may succeed in a moment.
"""

from __future__ import annotations

import grpc.aio
from ray.exceptions import (
    CrossLanguageError,
    OufOfBandObjectRefSerializationException,
    RayError,
    RayTaskError,
    UnserializableException,
    UserCodeException,
)
from ray.serve.exceptions import RayServeException, gRPCStatusError

_LOST = (RayError, RayServeException, grpc.RpcError, grpc.aio.BaseError, ConnectionError, TimeoutError)
_OF_THE_PROGRAM = (
    CrossLanguageError,
    OufOfBandObjectRefSerializationException,
    RayTaskError,
    UnserializableException,
    UserCodeException,
    gRPCStatusError,
)
_OF_AN_END = (
    "Unexpected error (",  # Serve's router: a replica's server closed the call before the replica had seen it
    "Router is not initialized",
    "cannot schedule new futures after",  # a replica's process is ending
    "Event loop is closed",
)


def is_lost(error: BaseException | None) -> bool:
    """Whether this error, as Ray 2.60, Serve or gRPC raise it, says that a part was lost."""
    while isinstance(error, RayTaskError | gRPCStatusError):  # what a replica raised, in an envelope
        error = error.cause if isinstance(error, RayTaskError) else error.original_exception
    if isinstance(error, RuntimeError) and str(error).startswith(_OF_AN_END):
        return True
    return isinstance(error, _LOST) and not isinstance(error, _OF_THE_PROGRAM)


def described(error: BaseException) -> str:
    """Class and the first line of the message, for a log."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}"
