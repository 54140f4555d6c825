"""Steps that the sources share: bytes to JSON values, and payloads that hold blobs of the stub."""

from __future__ import annotations

from typing import Any

from cluster.sources.base import BadRecord, Item, Record
from nbmf import json_text, stub
from nbmf.errors import DamagedStubBlob
from nbmf.payload import Payload


def parse_json(data: bytes) -> Any:
    """The JSON value in UTF-8 text, a byte order mark allowed. Raises ValueError."""
    return json_text.loads(data.decode("utf-8-sig"))


def bad_json(place: str, error: ValueError, key: str | None, source_bytes: int) -> BadRecord:
    """What a failed `parse_json` becomes."""
    reason = "not_utf8" if isinstance(error, UnicodeDecodeError) else "not_json"
    return BadRecord(place, reason, str(error), key, source_bytes)


def record_from_payload(
    key: str, record_class: str, meta: Any, payload: Payload, place: str, source_bytes: int
) -> Item:
    """A record; a payload that is a stub's blob is decoded, unless it is only a preview."""
    if not stub.is_stub_blob(payload):
        return Record(key, record_class, meta, payload, place, source_bytes)
    if stub.is_preview(payload):
        return Record(key, record_class, meta, payload, place, source_bytes, preview=True)
    try:
        return Record(key, record_class, meta, stub.decode(payload), place, source_bytes)
    except DamagedStubBlob as error:
        return BadRecord(place, "damaged_stub_blob", str(error), key, source_bytes)
