"""Request and response bodies: JSON, raw octets, and length-prefixed batches of octets."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from email.message import Message
from typing import Any

from nbmf import arrays, json_text, text_encoding
from nbmf.codec import inspect
from nbmf.errors import NbmfError, PayloadTooLarge, UnsupportedFidelity
from nbmf.payload import Kind, Payload, to_canonical
from nbmf.wire import PAYLOAD_FIELDS, BadWire, canonical_from_wire, canonical_to_json, from_base64, load_named
from serve_app.results import Failure

JSON = "application/json"
OCTETS = "application/octet-stream"
MEDIA_TYPES = {
    Kind.TEXT: "text/plain; charset=utf-8",
    Kind.MESSAGES: JSON,
    Kind.JSON: JSON,
    Kind.BYTES: OCTETS,
    Kind.ARRAY: "application/x-npy",
}
_LENGTH = struct.Struct("<I")
_ITEM_HEAD = struct.Struct("<BBI")
_OK, _FAILED = 0, 1


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises BadWire."""
    value = load_named(body, "the body")
    if type(value) is not dict:
        raise BadWire(f"the body is a JSON {type(value).__name__}, not an object")
    return value


def batch_of(fields: dict[str, Any], name: str) -> list[Any]:
    """The items of a JSON batch. Raises BadWire."""
    check_fields(fields, name)
    items = fields[name]
    if type(items) is not list:
        raise BadWire(f"`{name}` is a list")
    return items


def charset_of(content_type: str) -> str:
    """The charset that a Content-Type names, in lower case; utf-8 if it names none."""
    header = Message()
    header["Content-Type"] = content_type
    return str(header.get_content_charset("utf-8"))


def check_fields(fields: dict[str, Any], *known: str) -> None:
    """Raises BadWire for others than these."""
    if unknown := fields.keys() - set(known):
        raise BadWire(f"unknown fields: {', '.join(sorted(map(repr, unknown)))}; there are {', '.join(known)}")


def record_from_json(fields: Any, max_payload_bytes: int) -> tuple[int, bytes]:
    """(kind, canonical bytes) of a payload's fields, with "fidelity" and "key" if need be. Raises NbmfError."""
    if type(fields) is not dict:
        raise BadWire("a record is an object")
    fidelity = fields.get("fidelity", "lossless")
    if fidelity == "semantic":
        raise UnsupportedFidelity
    if fidelity != "lossless":
        raise BadWire("fidelity is lossless")
    if type(fields.get("key", "")) is not str:
        raise BadWire("key is text")
    check_fields(fields, *PAYLOAD_FIELDS, "fidelity", "key")
    return bounded(*canonical_from_wire(fields), max_payload_bytes)


def record_from_octets(body: bytes, as_: str, max_payload_bytes: int) -> tuple[int, bytes]:
    """(kind, canonical bytes) of raw octets read as `bytes`, `text` or `json`. Raises NbmfError."""
    payload: Payload = body
    try:
        if as_ == "text":
            payload = _text(body)
        elif as_ == "json":
            payload = json_text.loads(text_encoding.decode_text(body))
    except ValueError as error:
        raise BadWire(f"the octets are not {as_}: {error}") from error
    return bounded(*to_canonical(payload), max_payload_bytes)


def _text(body: bytes) -> str:
    """Text comes back as the octets that it was: its byte order mark stays, and other encodings than UTF-8 are none."""
    encoding, _ = text_encoding.encoding_of(body)
    if encoding != "utf-8":
        raise ValueError(f"they are {encoding}, by their byte order mark; send UTF-8, or kind=bytes, which keeps them")
    return body.decode()


def bounded(kind: Kind, canonical: bytes, max_payload_bytes: int) -> tuple[int, bytes]:
    """(kind, canonical bytes). Raises PayloadTooLarge."""
    if len(canonical) > max_payload_bytes:
        raise PayloadTooLarge(f"payload of {len(canonical)} bytes; the server takes {max_payload_bytes}")
    return int(kind), canonical


def blob_from_json(text: Any) -> bytes:
    """A blob in base64. Raises BadWire."""
    return from_base64(text, "blob")


def encoded_fields(blob: bytes, payload_bytes: int) -> dict[str, Any]:
    """What the response to an encoded record holds."""
    info = inspect(blob)
    return {
        "blob": base64.b64encode(blob).decode(),
        "kind": info.kind,
        "coder": info.coder,
        "codec": info.codec,
        "payload_bytes": payload_bytes,
        "blob_bytes": info.blob_bytes,
    }


def decoded_json(kind: Kind, canonical: bytes) -> bytes:
    """The JSON response to a decoded record. JSON payloads are passed on as text, neither parsed nor written anew."""
    return b'{"kind":"' + kind.label.encode() + b'",' + canonical_to_json(kind, canonical)[1:]


def decoded_octets(kind: Kind, canonical: bytes) -> bytes:
    """A decoded record as octets: text and JSON in UTF-8, bytes as they are, arrays as .npy. Raises NoNpy."""
    if kind is not Kind.ARRAY:
        return canonical
    return arrays.to_npy(canonical)


def split_batch(body: bytes, max_records: int) -> Iterator[bytes]:
    """Items of a batch: each a 4-byte little-endian length and as many bytes. Raises BadWire."""
    at = count = 0
    while at < len(body):
        count += 1
        if count > max_records:
            raise BatchTooLarge(f"more than {max_records} records")
        if at + _LENGTH.size > len(body):
            raise BadWire(f"the batch ends inside the length of item {count}")
        (size,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        if at + size > len(body):
            raise BadWire(f"item {count} says {size} bytes, {len(body) - at} are left")
        yield body[at : at + size]
        at += size


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


class BatchTooLarge(NbmfError):
    """A batch has more records than the server takes."""

    code = "batch_too_large"


class BodyTooLarge(NbmfError):
    """A body has more bytes than the server takes."""

    code = "body_too_large"


class UnsupportedMediaType(NbmfError):
    """A body is neither JSON nor octets."""

    code = "unsupported_media_type"
