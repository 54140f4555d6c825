"""The stub's calls on top of nbmf: swap the import, and old dict blobs stay readable.

A dict blob is `{"meta", "code"}`, so stores that hold them as JSON need no change: `code` is an nbmf blob in base85,
and `meta.encoder_version` tells it from the stub's. What the blob itself tells, as `nbmf.inspect(unwrap(blob))` gives
it, is not written beside it, but for `meta.fidelity`, by which readers of the stub's blobs tell previews.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, TypeGuard

from nbmf import api, frame, json_text, stub
from nbmf.codec import Codec
from nbmf.errors import CorruptBlob, UnsupportedFormat, UnsupportedPayload
from nbmf.payload import Fidelity, Payload, to_canonical
from nbmf.text_encoding import decode_text

ENCODER_VERSION = "nbmf-2"
"""Of what is written."""

_IN_HEX = "nbmf-1"
"""Written before: with a signature beside the blob's checksum. Read for ever."""

_FAMILY = "nbmf-"
_KEYS = ({"meta", "code"}, {"meta", "code", "sig"})


def encode(payload_: Payload, fidelity: Fidelity | None = None, *, codec: Codec | None = None) -> dict[str, Any]:
    """`{"meta", "code"}` for a payload. Accepts what the stub accepted: tuples become lists, keys text
    (but not 1 beside "1", of which the stub lost one).

    "semantic" permits near vectors, as `nbmf.encode`. Without a fidelity the record is kept lossless: the stub's
    default, "semantic", was no wish of whoever called it without. `meta.fidelity` is the blob's.
    Raises UnsupportedPayload (a TypeError) for what neither JSON nor nbmf can hold, ValueError for an unknown fidelity.
    """
    return wrap(api.encode(held(payload_), fidelity or "lossless", codec=codec))


def held(payload_: Payload) -> Payload:
    """A payload as dict blobs hold it: what only the stub accepted becomes the JSON that it made of it.

    Raises UnsupportedPayload for what neither JSON nor nbmf can hold.
    """
    try:
        to_canonical(payload_)
    except UnsupportedPayload as unsupported:
        try:
            return json_text.loads(json.dumps(payload_, ensure_ascii=False))
        except (TypeError, ValueError, RecursionError):
            raise unsupported from None
    return payload_


def wrap(blob: bytes) -> dict[str, Any]:
    """The dict blob that holds `blob`; its `meta.fidelity` is the blob's own. Raises BlobError if it is none."""
    meta = {"encoder_version": ENCODER_VERSION, "fidelity": frame.parse(blob).fidelity}
    return {"meta": meta, "code": base64.b85encode(blob).decode()}


def is_dict_blob(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a dict is a blob that `encode` or `wrap` wrote, in this version of nbmf or a newer one."""
    return (
        type(value) is dict
        and value.keys() in _KEYS
        and type(value["meta"]) is dict
        and str(value["meta"].get("encoder_version")).startswith(_FAMILY)
    )


def form_of(value: object) -> str | None:
    """Which dict blob a value is: "stub", "stub_preview" (the stub's semantic ones: there is no record in them), or
    the encoder_version that nbmf wrote; None if it is none."""
    if stub.is_stub_blob(value):
        return "stub_preview" if stub.is_preview(value) else "stub"
    return str(value["meta"]["encoder_version"]) if is_dict_blob(value) else None


def of_json(data: bytes) -> dict[str, Any] | None:
    """The dict blob that data is the JSON text of; None if it is something else, as a blob, none of which begins so."""
    if data.lstrip()[:1] != b"{":
        return None
    try:
        value = json_text.loads(decode_text(data))
    except ValueError:
        return None
    return value if form_of(value) else None


def unwrap(blob: dict[str, Any]) -> bytes:
    """The blob in a dict blob that `wrap` made. Raises CorruptBlob, UnsupportedFormat."""
    version = blob["meta"].get("encoder_version")
    if version not in (ENCODER_VERSION, _IN_HEX):
        raise UnsupportedFormat(f"encoder_version {version!r} is newer than this reader ({ENCODER_VERSION})")
    code = blob.get("code")
    if type(code) is not str:
        raise CorruptBlob(f"`code` is {type(code).__name__}, not text")
    return _from_hex(code) if version == _IN_HEX else _from_base85(code)


def _from_hex(code: str) -> bytes:
    try:
        return bytes.fromhex(code)
    except ValueError as error:
        raise CorruptBlob(f"`code` is not hex: {error}") from error


def _from_base85(code: str) -> bytes:
    try:
        blob = base64.b85decode(code)
    except ValueError as error:
        raise CorruptBlob(f"`code` is not base85: {error}") from error
    if base64.b85encode(blob).decode() != code:
        raise CorruptBlob("`code` is not base85: its end stands for no byte")
    return blob


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
