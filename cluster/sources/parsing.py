"""Steps that the sources share: bytes to JSON values, decryption, wrapped payloads and blobs of the stub."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cluster.sources.base import BadRecord, Item, Record
from nbmf import stub
from nbmf.encryption import StoreKey, told
from nbmf.errors import DamagedStubBlob
from nbmf.payload import Payload
from nbmf.store import record_file
from nbmf.store.record_file import DamagedRecordFile, RecordFile, read_json

META = "__meta__"
_WRAPPER = {"value", META}


class Refused(Exception):
    """Why content is no record; its reader makes a BadRecord of it."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")

    def bad(self, place: str, key: str | None, source_bytes: int) -> BadRecord:
        """The record that was refused."""
        return BadRecord(place, self.reason, self.detail, key, source_bytes)


def too_large(size_bytes: int, max_record_bytes: int) -> Refused:
    """For a record over the bound."""
    return Refused("too_large", f"{size_bytes} bytes; max_record_bytes is {max_record_bytes}")


def parse_json(data: bytes, *, encrypted: bool = False) -> Any:
    """As nbmf.store.record_file.read_json. Raises Refused."""
    with _refused():
        return read_json(data, encrypted=encrypted)


def decrypt(envelope: object, key: StoreKey | None) -> bytes:
    """What an envelope holds. Raises Refused."""
    with _refused():
        return record_file.decrypt(envelope, key)


def parse_record_file(name: str, data: bytes, key: StoreKey | None) -> RecordFile:
    """As nbmf.store.record_file.parse. Raises Refused."""
    with _refused():
        return record_file.parse(name, data, key)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except DamagedRecordFile as damaged:
        raise Refused(damaged.reason, damaged.detail) from None


def inflate(data: bytes, max_record_bytes: int) -> bytes:
    """What zlib data inflates to; no more than the bound is ever made. Raises Refused."""
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(data, max_record_bytes + 1)
    except zlib.error as error:
        raise Refused("damaged_blob", f"zlib: {error}") from None
    if len(content) > max_record_bytes:
        raise Refused("too_large", f"inflates to more than max_record_bytes ({max_record_bytes})")
    if not inflater.eof or inflater.unused_data:
        raise Refused("damaged_blob", "zlib data is truncated or followed by other data")
    return content


def record_from_payload(
    key: str,
    record_class: str,
    meta: Any,
    payload: Payload,
    place: str,
    source_bytes: int,
    *,
    encrypted: bool = False,
) -> Item:
    """A record; a wrapped payload is unwrapped, a stub's blob decoded unless it is only a preview.

    A dict blob of nbmf stays one: dict_blobs decodes many at once.
    """
    meta, payload = unwrapped(meta, payload)
    record = Record(key, record_class, meta, payload, place, source_bytes, encrypted=encrypted)
    if not stub.is_stub_blob(payload):
        return record
    if stub.is_preview(payload):
        return replace(record, preview=True)
    try:
        meta, payload = unwrapped(meta, stub.decode(payload))
    except DamagedStubBlob as error:
        return BadRecord(place, "damaged_stub_blob", told(error, encrypted), key, source_bytes)
    return replace(record, meta=meta, payload=payload)


def unwrapped(meta: Any, payload: Payload) -> tuple[Any, Payload]:
    """(meta, payload) of a payload `{"value", "__meta__"}`: the value, and `__meta__` as a key of meta.

    Where meta has that key already, or is neither an object nor null, the payload stays as it is: nothing is lost.
    """
    if type(payload) is not dict or payload.keys() != _WRAPPER:
        return meta, payload
    if meta is not None and (type(meta) is not dict or META in meta):
        return meta, payload
    return {**(meta or {}), META: payload[META]}, payload["value"]
