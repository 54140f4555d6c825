"""The shapes of bodies, for the OpenAPI page. The ingress reads bodies itself: they may hold what a model cannot."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Array(BaseModel):
    """A numpy float array."""

    dtype: str = Field(description="float16, float32 or float64")
    shape: list[int]
    data_base64: str


class EncodeRequest(BaseModel):
    """One of payload, bytes_base64, array; or `records`, a list of such objects."""

    payload: Any = Field(default=None, description="text, a list of messages, or any JSON value")
    bytes_base64: str | None = None
    array: Array | None = None
    fidelity: str = Field(default="lossless", description="lossless or semantic")
    key: str | None = Field(default=None, description="of the record in its store: one key stays with one version")
    records: list[Any] | None = Field(default=None, description="a batch")


class DecodeRequest(BaseModel):
    """`blob`, or `blobs` for a batch."""

    blob: str | None = Field(default=None, description="base64")
    blobs: list[str] | None = None


class ErrorDetail(BaseModel):
    """Why a request, or one record of a batch, failed."""

    code: str
    message: str
    request_id: str | None = Field(default=None, description="of a request; a single record of a batch has none")


class Error(BaseModel):
    """The body of every 4xx and 5xx."""

    error: ErrorDetail


class Encoded(BaseModel):
    """An encoded record; a batch is `{"results": [...]}` of these or of `{"error": ...}`."""

    blob: str = Field(description="base64")
    kind: str
    coder: str
    codec: str | None = Field(description="start of the id of the version that decoding needs")
    payload_bytes: int
    blob_bytes: int


class Decoded(BaseModel):
    """A decoded record: one of payload, bytes_base64, array."""

    kind: str
    payload: Any = None
    bytes_base64: str | None = None
    array: Array | None = None


class Version(BaseModel):
    """A codec version; of one that cannot be used, `error` in place of what its manifest tells."""

    id: str
    channels: list[str]
    name: str | None = None
    created_at: str | None = None
    architecture: str | None = None
    measured: dict[str, Any] | None = None
    share_percent: float = Field(description="of keys, that this version encodes now")
    error: ErrorDetail | None = None


class Versions(BaseModel):
    """Codec versions in the registry."""

    versions: list[Version]


class Health(BaseModel):
    """The service answers."""

    status: str


def _body(model: type[BaseModel], octets: str) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    if model is EncodeRequest:
        schema["properties"]["array"] = Array.model_json_schema()
    binary = {"schema": {"type": "string", "format": "binary", "description": octets}}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}, "application/octet-stream": binary},
        }
    }


ENCODE = _body(EncodeRequest, "the record, read as the query parameter `kind` says; or a batch")
DECODE = _body(DecodeRequest, "the blob; or a batch")

_ERRORS = {
    400: "the request cannot be understood",
    401: "no API key, or none of the server's",
    403: "the API key has not the role that this needs",
    404: "the codec version is not registered",
    409: "the rollout is in no state for this, or the server takes no part in rollouts",
    413: "body, batch or payload too large",
    415: "neither JSON nor octets",
    422: "the record cannot be encoded, or the blob not decoded",
    429: "more requests than the service can queue; see Retry-After",
    500: "a fault of the service; its log says more",
    503: "a part of the service is down; see Retry-After",
    504: "the request's time was over before it was done",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's answers with these statuses."""
    return {status: {"model": Error, "description": _ERRORS[status]} for status in statuses}


ERRORS = errors(*(status for status in _ERRORS if status != 409))
