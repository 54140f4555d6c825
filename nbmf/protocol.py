"""What a service and its clients agree on: paths, headers, and the status that goes with each error's code."""

from __future__ import annotations

ENCODE, DECODE, VERSIONS, HEALTH = "/v1/encode", "/v1/decode", "/v1/versions", "/healthz"
ADMIN = "/v1/admin"
"""Prefix of the paths of the admin API."""

REQUEST_ID = "X-Request-Id"
TIMEOUT_MS = "X-Request-Timeout-Ms"
CODE = "Nbmf-Code"
"""Of errors, in gRPC's trailing metadata. There names of headers are in lower case."""

OF_A_BLOB = "X-Nbmf-"
"""Begins the headers that tell of a blob, where the body is octets."""

RETRY_AFTER_S = 1
"""What a client that is turned away for now is asked to wait."""

STATUS_OF_CODE = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown_codec": 404,
    "version_not_found": 404,
    "slow_body": 408,
    "rollout_error": 409,
    "rollout_changed": 409,
    "fixed_version": 409,
    "payload_too_large": 413,
    "output_too_large": 413,
    "body_too_large": 413,
    "batch_too_large": 413,
    "unsupported_media_type": 415,
    "overloaded": 429,
    "internal_error": 500,
    "damaged_codec": 503,
    "quarantined_codec": 503,
    "version_killed": 503,
    "inexact_machine": 503,
    "registry_error": 503,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
"""HTTP status of a request for one record that ends with this code."""

STATUS_OF_A_RECORD = 422
"""The same of all other codes: a fault of the record."""

GRPC_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",  # RESOURCE_EXHAUSTED would have clients try again
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Of gRPC, by the HTTP status."""


def status_of(code: str) -> int:
    """The HTTP status of an error's code."""
    return STATUS_OF_CODE.get(code, STATUS_OF_A_RECORD)
