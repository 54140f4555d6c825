"""Blobs of the zlib stub that this project replaces: read as before, and written for tests and comparisons.

A stub blob is a dict `{"meta", "code", "sig"}`. Lossless: `code` is the hex of zlib level 9 over
`json.dumps(payload, ensure_ascii=False)`. Semantic: the hex of the first 2,048 characters of the
text, white space joined (or of the JSON, keys sorted): a preview, from which nothing can be recovered.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any, TypeGuard

from nbmf import json_text
from nbmf.errors import DamagedStubBlob
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Fidelity, Payload

VERSIONS = (None, "stub", "production_placeholder")
"""Values of `meta.encoder_version` that mean the stub; older blobs have none."""

_PREVIEW_CHARACTERS = 2048


def encode(payload: Payload, fidelity: Fidelity = "semantic") -> dict[str, Any]:
    """The dict that the stub wrote. Raises TypeError where json.dumps does."""
    meta: dict[str, Any] = {"fidelity": fidelity, "type": type(payload).__name__}
    if fidelity == "lossless":
        code = zlib.compress(json.dumps(payload, ensure_ascii=False).encode(), level=9)
        return {"meta": meta | {"length_bytes": len(code)}, "code": code.hex(), "sig": signature(payload)}
    if isinstance(payload, str):
        text = " ".join(payload.split())
    else:
        text = json.dumps(payload, ensure_ascii=False, sort_keys=True)
    preview = text[:_PREVIEW_CHARACTERS]
    return {"meta": meta | {"preview_length": len(preview)}, "code": preview.encode().hex(), "sig": signature(text)}


def signature(payload: Payload) -> str:
    """SHA-256, in hex, of the payload's JSON with sorted keys."""
    text = json.dumps(payload, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_stub_blob(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a dict is a blob of the stub: its three keys, of its types, and an encoder_version that is the stub's."""
    return (
        type(value) is dict
        and value.keys() == {"meta", "code", "sig"}
        and type(value["meta"]) is dict
        and value["meta"].get("fidelity") in ("lossless", "semantic")
        and type(value["code"]) is str
        and value["meta"].get("encoder_version") in VERSIONS
    )


def is_preview(blob: dict[str, Any]) -> bool:
    """Whether a stub blob is semantic: a preview of a payload that it does not hold."""
    return bool(blob["meta"].get("fidelity") != "lossless")


def decode(blob: dict[str, Any], *, max_output_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES) -> Payload:
    """The payload of a lossless stub blob, the preview text of a semantic one. Raises DamagedStubBlob."""
    text = text_of(blob, max_output_bytes)
    return text if is_preview(blob) else payload_of(text)


def text_of(blob: dict[str, Any], max_output_bytes: int) -> str:
    """The payload's JSON text, or the preview; no JSON is parsed. Raises DamagedStubBlob."""
    try:
        code = bytes.fromhex(blob["code"])
        if is_preview(blob):
            return code.decode()
        inflater = zlib.decompressobj()
        raw = inflater.decompress(code, max_output_bytes)
        if inflater.unconsumed_tail:
            raise DamagedStubBlob(f"inflates to more than max_output_bytes ({max_output_bytes})")
        if not inflater.eof or inflater.unused_data:
            raise DamagedStubBlob("zlib data is truncated or followed by other data")
        return raw.decode()
    except (KeyError, TypeError, AttributeError, ValueError, zlib.error) as error:
        raise DamagedStubBlob(f"{type(error).__name__}: {error}") from error


def payload_of(text: str, max_values: int = json_text.DEFAULT_MAX_VALUES) -> Payload:
    """The payload whose JSON text a lossless blob holds. Raises DamagedStubBlob."""
    try:
        return json_text.loads(text, max_values=max_values)
    except ValueError as error:
        raise DamagedStubBlob(f"{type(error).__name__}: {error}") from error
