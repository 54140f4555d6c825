"""Payloads as JSON objects, for HTTP bodies and JSON Lines: what JSON cannot hold gets a key of its own."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from nbmf import arrays
from nbmf.errors import NbmfError
from nbmf.payload import Payload

_KEYS = ("payload", "bytes_base64", "array")


class BadWire(NbmfError):
    """A JSON object does not say what a payload is."""

    code = "bad_request"


def to_wire(payload: Payload) -> dict[str, Any]:
    """`{"payload": v}`, `{"bytes_base64": s}` or `{"array": {"dtype", "shape", "data_base64"}}`."""
    if type(payload) is bytes:
        return {"bytes_base64": base64.b64encode(payload).decode()}
    if arrays.is_array(payload):
        data = base64.b64encode(payload.tobytes()).decode()
        return {"array": {"dtype": payload.dtype.name, "shape": list(payload.shape), "data_base64": data}}
    return {"payload": payload}


def from_wire(fields: dict[str, Any]) -> Payload:
    """The payload. Raises BadWire."""
    given = [key for key in _KEYS if key in fields]
    if len(given) != 1:
        raise BadWire(f"exactly one of {', '.join(_KEYS)} is needed; there are {given or 'none'}")
    value = fields[given[0]]
    if given[0] == "payload":
        return value
    if given[0] == "bytes_base64":
        return from_base64(value, "bytes_base64")
    return _array(value)


def from_base64(text: Any, field: str) -> bytes:
    """Bytes in standard base64. Raises BadWire naming the field."""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise BadWire(f"{field} is not base64: {error}") from error


def _array(fields: Any) -> Payload:
    import numpy as np

    if type(fields) is not dict or fields.keys() != {"dtype", "shape", "data_base64"}:
        raise BadWire("array needs dtype, shape and data_base64")
    if fields["dtype"] not in ("float16", "float32", "float64"):
        raise BadWire("array.dtype is float16, float32 or float64")
    shape = fields["shape"]
    if type(shape) is not list or not all(type(n) is int and n >= 0 for n in shape):
        raise BadWire("array.shape is a list of sizes")  # numpy would take -1 and guess
    data = from_base64(fields["data_base64"], "array.data_base64")
    try:
        return np.frombuffer(data, dtype=fields["dtype"]).reshape(shape).copy()
    except (ValueError, TypeError, OverflowError) as error:
        raise BadWire(f"array.shape does not fit its data: {error}") from error
