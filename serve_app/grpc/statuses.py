"""Failures as statuses of gRPC."""

from __future__ import annotations

import grpc
from ray.serve.grpc_util import RayServegRPCContext

from serve_app.grpc.messages import printable
from serve_app.observe.calls import Call
from serve_app.work.results import RETRY_AFTER_S, Failure

REQUEST_ID, CODE = "x-request-id", "nbmf-code"

_MAX_DETAILS_BYTES = 2000
"""Of a message in UTF-8: details go in a header, in which a byte may take three, and clients take 8 KB of headers."""

_BY_HTTP_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,  # RESOURCE_EXHAUSTED would have clients try again
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def status_of(failure: Failure) -> grpc.StatusCode:
    """The status of a call that ends with this failure."""
    return _BY_HTTP_STATUS[failure.status]


def end(context: RayServegRPCContext, call: Call, failure: Failure | None) -> None:
    """Sets how a call ends, and what its trailing metadata tell."""
    status = grpc.StatusCode.OK if failure is None else status_of(failure)
    call.status = status.name
    metadata = [(REQUEST_ID, call.request_id)]
    if failure is not None:
        call.code = failure.code
        context.set_code(status)
        context.set_details(printable(failure.message).encode()[:_MAX_DETAILS_BYTES].decode(errors="ignore"))
        metadata.append((CODE, failure.code))
        if failure.status in (429, 503):
            metadata.append(("grpc-retry-pushback-ms", str(RETRY_AFTER_S * 1000)))
    context.set_trailing_metadata(metadata)
