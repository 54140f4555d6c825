"""What one file of a legacy store holds: bytes to a record, or why there is none."""

from __future__ import annotations

import base64
import hashlib
from pathlib import PurePath
from typing import Any

from cluster.sources.base import Item
from cluster.sources.parsing import Refused, decrypt, inflate, parse_json, parse_record_file, record_from_payload
from nbmf import stub
from nbmf.encryption import ENVELOPE, StoreKey, is_envelope
from nbmf.store.record_file import name_key

FIELDS = "__fields__"
_OF_A_RECORD = {"payload", "meta", "cls"}
_COLD, _CONTENT = "cold", "content"
_URLSAFE = str.maketrans("-_", "+/")


def legacy_record(place: str, _key: str, data: bytes, key: StoreKey | None, _max_record_bytes: int) -> Item:
    """A file of records/. What it has besides payload, meta and cls joins meta as `__fields__`."""
    name, size = PurePath(place).name, len(data)
    try:
        file = parse_record_file(name, data, key)
    except Refused as refused:
        return refused.bad(place, name_key(name) or None, size)
    rest = {field: value for field, value in file.fields.items() if field not in _OF_A_RECORD}
    meta = _with_fields(file.fields.get("meta"), rest)
    return record_from_payload(file.key, file.record_class, meta, file.payload, place, size, encrypted=file.encrypted)


def cold_artefact(place: str, record_key: str, data: bytes, key: StoreKey | None, max_record_bytes: int) -> Item:
    """A cold artefact: the payload is the JSON in its blob; other fields are its meta."""
    size = len(data)
    try:
        fields, encrypted = _opened(parse_json(data), key)
        if type(fields) is not dict or type(fields.get("blob")) is not str:
            raise Refused("no_blob", "not an object with a `blob` of text")
        value = parse_json(inflate(_from_base64(fields.pop("blob")), max_record_bytes), encrypted=encrypted)
        if is_envelope(value):
            value, encrypted = parse_json(decrypt(value, key), encrypted=True), True
    except Refused as refused:
        return refused.bad(place, record_key, size)
    return record_from_payload(record_key, _COLD, fields, value, place, size, encrypted=encrypted)


def content(place: str, record_key: str, data: bytes, key: StoreKey | None, _max_record_bytes: int) -> Item:
    """A content-addressed file, of JSON.

    Its name is the SHA-256 of the file, of what it decrypts to, or of the value's
    JSON with sorted keys, as the stub signs payloads.
    """
    name, size = PurePath(place).name, len(data)
    named = name.removesuffix(".json")
    try:
        value, encrypted, verified = _addressed(data, named, key)
        if not verified:
            raise Refused("hash_mismatch", "its name is not the SHA-256 of its content")
    except Refused as refused:
        return refused.bad(place, record_key, size)
    return record_from_payload(record_key, _CONTENT, {}, value, place, size, encrypted=encrypted)


def _addressed(data: bytes, named: str, key: StoreKey | None) -> tuple[Any, bool, bool]:
    """The JSON value, whether it was encrypted, and whether the name is its hash. Raises Refused."""
    verified = _sha256(data) == named
    encrypted = False
    try:
        value = parse_json(data)
        if is_envelope(value):
            encrypted = True
            data = decrypt(value, key)
            verified = verified or _sha256(data) == named
            value = parse_json(data, encrypted=True)
    except Refused as refused:
        if verified or encrypted:
            raise
        raise Refused("hash_mismatch", f"its name is not the SHA-256 of its content ({refused.detail})") from None
    return value, encrypted, verified or _signature(value) == named


def _opened(value: Any, key: StoreKey | None) -> tuple[Any, bool]:
    """The JSON value in an envelope, or `value` if it is none; and whether it was one. Raises Refused.

    Whatever has the envelope's field counts as one: a record with others besides is damaged, not guessed at.
    """
    if type(value) is not dict or ENVELOPE not in value:
        return value, False
    return parse_json(decrypt(value, key), encrypted=True), True


def _with_fields(meta: Any, rest: dict[str, Any]) -> Any:
    if not rest:
        return meta
    if meta is None or (type(meta) is dict and FIELDS not in meta):
        return {**(meta or {}), FIELDS: rest}
    return {"meta": meta, FIELDS: rest}


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.translate(_URLSAFE), validate=True)
    except ValueError as error:
        raise Refused("damaged_blob", f"not base64: {error}") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _signature(value: Any) -> str | None:
    try:
        return stub.signature(value)
    except (TypeError, ValueError, RecursionError):
        return None
