"""Failures as statuses of gRPC."""

from __future__ import annotations

import grpc
from ray.serve.grpc_util import RayServegRPCContext

from nbmf import protocol
from nbmf.protocol import RETRY_AFTER_S
from serve_app.grpc.messages import printable
from serve_app.observe.calls import Call
from serve_app.work.results import Failure

REQUEST_ID, CODE = protocol.REQUEST_ID.lower(), protocol.CODE.lower()

_MAX_DETAILS_BYTES = 2000
"""Of a message in UTF-8: details go in a header, in which a byte may take three, and clients take 8 KB of headers."""


def status_of(failure: Failure) -> grpc.StatusCode:
    """The status of a call that ends with this failure."""
    return grpc.StatusCode[protocol.GRPC_STATUS[failure.status]]


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
