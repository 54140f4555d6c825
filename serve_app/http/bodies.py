"""Request and response bodies: JSON, raw octets, and length-prefixed batches of octets."""

from __future__ import annotations

import base64
import json
import struct
from email.message import Message
from typing import Any

from cluster.registry import STUB
from nbmf import arrays, protocol
from nbmf.errors import NbmfError
from nbmf.payload import Kind
from nbmf.wire import canonical_to_json
from serve_app.service import Encoded
from serve_app.work.results import Failure

JSON = "application/json"
OCTETS = "application/octet-stream"
MEDIA_TYPES = {
    Kind.TEXT: "text/plain; charset=utf-8",
    Kind.MESSAGES: JSON,
    Kind.JSON: JSON,
    Kind.BYTES: OCTETS,
    Kind.ARRAY: "application/x-npy",
}
_ITEM_HEAD = struct.Struct("<BBI")
_OK, _FAILED = 0, 1


def charset_of(content_type: str) -> str:
    """The charset that a Content-Type names, in lower case; utf-8 if it names none."""
    header = Message()
    header["Content-Type"] = content_type
    return str(header.get_content_charset("utf-8"))


def encoded_fields(encoded: Encoded) -> dict[str, Any]:
    """What the response to an encoded record holds; a dict of the stub is the object that it is."""
    of_stub, blob = encoded.told.coder == STUB, encoded.blob
    fields: dict[str, Any] = {
        "blob": json.loads(blob) if of_stub else base64.b64encode(blob).decode(),
        **encoded.told._asdict(),
        **({"dict_blob": STUB} if of_stub else {}),
        "payload_bytes": encoded.payload_bytes,
        "blob_bytes": len(blob),
    }
    if encoded.changed is not None:
        fields |= {"fidelity": "semantic", "similarity": encoded.changed.similarity()}
    return fields


def encoded_headers(encoded: Encoded) -> dict[str, str]:
    """What the response to a record that came as octets tells beside its blob."""
    told = {"Kind": encoded.told.kind, "Coder": encoded.told.coder}
    if encoded.told.coder == STUB:
        told["Dict-Blob"] = STUB
    if encoded.changed is not None:
        told["Fidelity"] = "semantic"
        measured = encoded.changed.similarity()
        told |= {name.replace("_", "-").title(): str(value) for name, value in measured.items()}
    return {protocol.OF_A_BLOB + name: value for name, value in told.items()}


def decoded_json(kind: Kind, canonical: bytes, dict_blob: str | None = None) -> bytes:
    """The JSON response to a decoded record. JSON payloads are passed on as text, neither parsed nor written anew.

    `dict_blob` is the one that held it, as of compat.form_of, if any.
    """
    told = {"kind": kind.label} | ({} if dict_blob is None else {"dict_blob": dict_blob})
    return json.dumps(told, separators=(",", ":")).encode()[:-1] + b"," + canonical_to_json(kind, canonical)[1:]


def decoded_octets(kind: Kind, canonical: bytes) -> bytes:
    """A decoded record as octets: text and JSON in UTF-8, bytes as they are, arrays as .npy. Raises NoNpy."""
    if kind is not Kind.ARRAY:
        return canonical
    return arrays.to_npy(canonical)


def join_batch(results: list[tuple[int, bytes] | Failure]) -> bytes:
    """Items of a response: status (0 done, 1 failed), kind number, 4-byte little-endian length, then bytes.

    The bytes of a failed one are JSON `{"code", "message"}`.
    """
    parts = []
    for result in results:
        if isinstance(result, Failure):
            data = json.dumps(failure_fields(result)).encode()
            parts += [_ITEM_HEAD.pack(_FAILED, 0, len(data)), data]
        else:
            kind, data = result
            parts += [_ITEM_HEAD.pack(_OK, kind, len(data)), data]
    return b"".join(parts)


def failure_fields(failure: Failure) -> dict[str, str]:
    """`{"code", "message"}`."""
    return {"code": failure.code, "message": failure.message}


class UnsupportedMediaType(NbmfError):
    """A body is neither JSON nor octets."""

    code = "unsupported_media_type"
