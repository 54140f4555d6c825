"""The stub's calls on top of nbmf: swap the import, and old dict blobs stay readable.

New blobs have the same three keys, so stores that hold them as JSON need no change; `code` is the hex
of an nbmf blob, and `meta.encoder_version` tells it from the stub's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeGuard

from nbmf import api, json_text, payload, stub
from nbmf.codec import Codec
from nbmf.errors import CorruptBlob, UnsupportedFormat, UnsupportedPayload
from nbmf.payload import Fidelity, Payload

ENCODER_VERSION = "nbmf-1"
_FAMILY = "nbmf-"


def encode(payload_: Payload, fidelity: Fidelity | None = None, *, codec: Codec | None = None) -> dict[str, Any]:
    """`{"meta", "code", "sig"}` for a payload. Accepts what the stub accepted: tuples become lists, keys text
    (but not 1 beside "1", of which the stub lost one).

    "semantic" permits near vectors, as `nbmf.encode`. Without a fidelity the record is kept lossless, though the meta
    says "semantic" as the stub's did: that was its default, not a wish of whoever calls it without.
    Raises UnsupportedPayload (a TypeError) for what neither JSON nor nbmf can hold, ValueError for an unknown fidelity.
    """
    held, kept = payload_, fidelity or "lossless"
    try:
        blob = api.encode(held, kept, codec=codec)
    except UnsupportedPayload as unsupported:
        try:
            held = json_text.loads(json.dumps(payload_, ensure_ascii=False))
        except (TypeError, ValueError, RecursionError):
            raise unsupported from None
        blob = api.encode(held, kept, codec=codec)
    wrapped = wrap(blob, held, fidelity or "semantic")
    wrapped["meta"]["type"] = type(payload_).__name__
    return wrapped


def wrap(blob: bytes, payload_: Payload, fidelity: Fidelity) -> dict[str, Any]:
    """The dict blob of a payload that was encoded to `blob`."""
    meta = {
        "fidelity": fidelity,
        "type": type(payload_).__name__,
        "length_bytes": len(blob),
        "encoder_version": ENCODER_VERSION,
    }
    return {"meta": meta, "code": blob.hex(), "sig": _signature(payload_)}


def is_dict_blob(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a dict is a blob that `encode` or `wrap` wrote, in this version of nbmf or a newer one."""
    return (
        type(value) is dict
        and value.keys() == {"meta", "code", "sig"}
        and type(value["meta"]) is dict
        and str(value["meta"].get("encoder_version")).startswith(_FAMILY)
    )


def unwrap(blob: dict[str, Any]) -> bytes:
    """The blob in a dict blob that `wrap` made. Raises CorruptBlob, UnsupportedFormat."""
    version = blob["meta"].get("encoder_version")
    if version != ENCODER_VERSION:
        raise UnsupportedFormat(f"encoder_version {version!r} is newer than this reader ({ENCODER_VERSION})")
    try:
        return bytes.fromhex(blob["code"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptBlob(f"`code` is not hex: {error}") from error


def decode(blob: dict[str, Any], *, codec: Codec | None = None) -> Payload:
    """The payload of a dict blob, the stub's or ours.

    Raises UnsupportedFormat for an encoder_version of neither, and what `nbmf.decode` or `stub.decode` raise.
    """
    if not isinstance(blob, dict):
        raise TypeError(f"a dict blob is a dict, not {type(blob).__name__}")
    meta = blob.get("meta")
    version = meta.get("encoder_version") if isinstance(meta, dict) else None
    if version in stub.VERSIONS:
        return stub.decode(blob)
    return api.decode(unwrap(blob), codec=codec)


class ProductionNBMFEncoder:
    """The class that callers of the stub construct. `model_path` is a codec version's folder."""

    def __init__(self, domain: str = "general", model_path: str | Path | None = None) -> None:
        self.domain = domain
        self.model_path = model_path
        self.codec = api.load(model_path) if model_path else None

    def encode(self, payload: Payload, fidelity: Fidelity | None = None) -> dict[str, Any]:
        """As `compat.encode`, with `meta.encoder_domain`."""
        blob = encode(payload, fidelity, codec=self.codec)
        blob["meta"]["encoder_domain"] = self.domain
        return blob

    def decode(self, blob: dict[str, Any]) -> Payload:
        """As `compat.decode`."""
        return decode(blob, codec=self.codec)


def _signature(value: Payload) -> str:
    """The stub's signature; for what JSON cannot sort or hold, the SHA-256 of the canonical bytes."""
    try:
        return stub.signature(value)
    except (TypeError, ValueError, RecursionError):
        return hashlib.sha256(payload.to_canonical(value)[1]).hexdigest()
