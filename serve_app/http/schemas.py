"""The shapes of bodies, for the OpenAPI page. The ingress reads bodies itself: they may hold what a model cannot."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from nbmf.arrays import TYPES
from nbmf.payload import Fidelity
from nbmf.wire import PAYLOAD_FIELDS
from serve_app.http.bodies import JSON, MEDIA_TYPES, OCTETS


class _Exact(BaseModel):
    """Nothing else is in it."""

    model_config = ConfigDict(extra="forbid")


class Problem(_Exact):
    """Why one record failed."""

    code: str
    message: str


class ErrorDetail(Problem):
    """Why a request failed."""

    request_id: str


class Error(_Exact):
    """The body of every 4xx and 5xx."""

    error: ErrorDetail


class Failed(_Exact):
    """A record of a batch that failed."""

    error: Problem


class Similarity(_Exact):
    """What fidelity semantic changed of a record: how many vectors, and their cosines with what decoding gives."""

    vectors: int
    cosine_mean: float
    cosine_min: float


class Encoded(_Exact):
    """An encoded record."""

    blob: str | dict[str, Any] = Field(description="base64; of the stub, while that is stable, its dict")
    kind: str
    coder: str
    dict_blob: str | None = Field(default=None, description="stub, where the blob is a dict of the stub")
    codec: str | None = Field(description="start of the id of the version that decoding needs")
    payload_bytes: int
    blob_bytes: int
    fidelity: Fidelity = Field("lossless", description="semantic if that changed anything; else it is left out")
    similarity: Similarity | None = Field(None, description="left out if nothing was changed")


class EncodedBatch(_Exact):
    """A result for each record, in order."""

    results: list[Encoded | Failed]


class Array(_Exact):
    """A numpy array, or a PyTorch tensor."""

    dtype: str
    shape: list[int]
    data_base64: str
    byte_order: str = "little"
    library: str = "numpy"


_EXACT = "{} in UTF-8, lone surrogates as three bytes each: for those that escapes would join to a character"


class Decoded(_Exact):
    """A decoded record: its kind, and one of the others."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in PAYLOAD_FIELDS]})

    kind: str
    dict_blob: str | None = Field(
        default=None,
        description="which dict blob held it: stub, stub_preview (of which there is no more than this text), nbmf-2, …",
    )
    payload: Any = Field(default=None, description="text, a list of messages, or any JSON value")
    bytes_base64: str = ""
    array: Array | None = None
    text_base64: str = Field(default="", description=_EXACT.format("text"))
    json_base64: str = Field(default="", description=_EXACT.format("JSON text"))


class DecodedBatch(_Exact):
    """A result for each blob, in order."""

    results: list[Decoded | Failed]


class Version(_Exact):
    """A codec version; of one that cannot be used, `error` in place of what its manifest tells."""

    id: str
    channels: list[str]
    name: str | None = None
    created_at: str | None = None
    architecture: str | None = None
    measured: dict[str, Any] | None = None
    share_percent: float = Field(description="of keys, that this version encodes now")
    error: Problem | None = None


class Versions(_Exact):
    """Codec versions in the registry."""

    versions: list[Version]


class Health(_Exact):
    """The service answers."""

    status: str


_BASE64: dict[str, Any] = {"type": "string", "contentEncoding": "base64"}
_FIELDS: dict[str, Any] = {
    "payload": {"description": "text, a list of messages, or any JSON value"},
    "bytes_base64": _BASE64,
    "array": {
        "type": "object",
        "properties": {
            "dtype": {"enum": list(TYPES)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "data_base64": {**_BASE64, "description": "little-endian numbers, in C order"},
            "byte_order": {"enum": ["little", "big"], "description": "of the array that decoding gives"},
            "library": {"enum": ["numpy", "torch"], "description": "whose array it is"},
        },
        "required": ["dtype", "shape", "data_base64"],
        "additionalProperties": False,
    },
    "text_base64": {**_BASE64, "description": _EXACT.format("text")},
    "json_base64": {**_BASE64, "description": _EXACT.format("JSON text")},
    "fidelity": {
        "enum": list(get_args(Fidelity)),
        "default": "lossless",
        "description": "semantic: vectors may become near ones, all else is kept",
    },
    "key": {"type": "string", "description": "of the record in its store: one key stays with one version"},
}
_RECORD: dict[str, Any] = {
    "type": "object",
    "title": "Record",
    "properties": _FIELDS,
    "oneOf": [{"required": [name]} for name in PAYLOAD_FIELDS],
    "additionalProperties": False,
}


def _only(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _body(one: dict[str, Any], batch: dict[str, Any], octets: str) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"oneOf": [one, batch]}}, OCTETS: {"schema": _binary(octets)}},
        }
    }


def _binary(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "binary", "description": description}


ENCODE = _body(
    _RECORD, _only("records", _many(_RECORD)), "the record, read as the query parameter `kind` says; or a batch"
)
_BLOB: dict[str, Any] = {
    "oneOf": [
        _BASE64,
        {
            "type": "object",
            "title": "DictBlob",
            "description": "as nbmf.compat, or the stub before it, wrote it",
            "properties": {"meta": {"type": "object"}, "code": {"type": "string"}, "sig": {}},
            "required": ["meta", "code"],
            "additionalProperties": False,
        },
    ]
}
DECODE = _body(_only("blob", _BLOB), _only("blobs", _many(_BLOB)), "the blob, or a dict blob's JSON text; or a batch")

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


def _answers(*octet_types: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": _binary("where octets were sent")} for media_type in octet_types}
    return {200: {"content": content}, **errors(*(status for status in _ERRORS if status != 409))}


ENCODED = _answers(OCTETS)
DECODED = _answers(*{media_type.partition(";")[0] for media_type in MEDIA_TYPES.values()} - {JSON})
