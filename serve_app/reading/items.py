"""Records to encode and blobs to decode, as they stand in bodies of requests.

It imports no Ray: large bodies are read in processes of their own, which are to be small.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, get_args

from nbmf import json_text, text_encoding
from nbmf.errors import NbmfError, PayloadTooLarge, attempt
from nbmf.json_text import values_within
from nbmf.payload import Fidelity, Kind, Payload, to_canonical, too_many_values
from nbmf.wire import PAYLOAD_FIELDS, BadWire, canonical_from_wire, from_utf8, load_named

T = TypeVar("T")

_LENGTH = struct.Struct("<I")


class Bounds(NamedTuple):
    """What a service takes."""

    max_body_bytes: int
    max_payload_bytes: int
    max_batch_records: int
    max_batch_payload_bytes: int


class ToEncode(NamedTuple):
    """A record for an encoder: number of its kind, canonical bytes, and fidelity."""

    kind: int
    canonical: bytes
    fidelity: Fidelity = "lossless"


class Record(NamedTuple):
    """A record as it was read, and the key that it has in its store."""

    record: ToEncode
    key: str | None


class Read(NamedTuple, Generic[T]):
    """What stands in a body: records or blobs in order, an error of nbmf in place of one that cannot be read."""

    is_batch: bool
    items: list[T | NbmfError]


class BatchTooLarge(NbmfError):
    """A batch has more records than the server takes."""

    code = "batch_too_large"


def records_of_json(parts: Sequence[bytes], bounds: Bounds, key: str | None, fidelity: Fidelity | None) -> Read[Record]:
    """Records of one JSON body; `key` and `fidelity` are of those that name none.

    Raises BadWire, BatchTooLarge, PayloadTooLarge.
    """
    (body,) = parts
    fields = parse_object(body, bounds.max_body_bytes)
    is_batch = "records" in fields
    items = batch_of(fields, "records", bounds) if is_batch else [fields]
    if not is_batch:
        for name, asked in (("key", key), ("fidelity", fidelity)):
            if asked is not None and fields.get(name, asked) != asked:
                raise BadWire(f"the record has another `{name}` than the query")
    return Read(is_batch, [attempt(_record, item, key, fidelity, bounds) for item in items])


def records_of_octets(
    parts: Sequence[bytes], bounds: Bounds, as_: str, key: str | None, fidelity: Fidelity | None
) -> Read[Record]:
    """Records of raw octets that are `bytes`, `text` or `json`; without a fidelity they are kept lossless."""
    return Read(True, [attempt(_of_octets, part, as_, key, fidelity or "lossless", bounds) for part in parts])


def records_of_utf8(parts: Sequence[bytes], bounds: Bounds) -> Read[Record]:
    """Lossless records, without a key, of JSON in UTF-8 in which a lone surrogate is three bytes."""
    return Read(True, [attempt(_of_utf8, part, bounds) for part in parts])


def parse_object(body: bytes, max_body_bytes: int) -> dict[str, Any]:
    """The JSON object in a body. Raises BadWire, PayloadTooLarge."""
    value = load_named(body, "the body", values_within(max_body_bytes), "max_body_bytes")
    if type(value) is not dict:
        raise BadWire(f"the body is a JSON {type(value).__name__}, not an object")
    return value


def batch_of(fields: dict[str, Any], name: str, bounds: Bounds) -> list[Any]:
    """The items of a JSON batch. Raises BadWire, BatchTooLarge."""
    check_fields(fields, name)
    items = fields[name]
    if type(items) is not list:
        raise BadWire(f"`{name}` is a list")
    check_count(len(items), bounds.max_batch_records)
    return items


def check_count(records: int, limit: int) -> None:
    """Raises BatchTooLarge."""
    if records > limit:
        raise BatchTooLarge(f"{records} records; the server takes {limit} at a time")


def check_fields(fields: dict[str, Any], *known: str) -> None:
    """Raises BadWire for others than these."""
    if unknown := fields.keys() - set(known):
        raise BadWire(f"unknown fields: {', '.join(sorted(map(repr, unknown)))}; there are {', '.join(known)}")


def bounded(kind: Kind, canonical: bytes, fidelity: Fidelity, max_payload_bytes: int) -> ToEncode:
    """The record. Raises PayloadTooLarge."""
    if len(canonical) > max_payload_bytes:
        raise PayloadTooLarge(f"payload of {len(canonical)} bytes; the server takes {max_payload_bytes}")
    return ToEncode(int(kind), canonical, fidelity)


def split_batch(body: bytes, max_records: int) -> Iterator[bytes]:
    """Items of a batch: each a 4-byte little-endian length and as many bytes. Raises BadWire, BatchTooLarge."""
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


def _values(bounds: Bounds) -> int:
    return values_within(bounds.max_payload_bytes)


def _record(fields: Any, key: str | None, fidelity: Fidelity | None, bounds: Bounds) -> Record:
    if type(fields) is not dict:
        raise BadWire("a record is an object")
    fidelity = fields.get("fidelity", fidelity or "lossless")
    if fidelity not in get_args(Fidelity):
        raise BadWire(f"fidelity is {' or '.join(get_args(Fidelity))}")
    if type(fields.get("key", "")) is not str:
        raise BadWire("key is text")
    check_fields(fields, *PAYLOAD_FIELDS, "fidelity", "key")
    kind, canonical = canonical_from_wire(fields, _values(bounds))
    return Record(bounded(kind, canonical, fidelity, bounds.max_payload_bytes), fields.get("key", key))


def _of_octets(body: bytes, as_: str, key: str | None, fidelity: Fidelity, bounds: Bounds) -> Record:
    payload: Payload = body
    try:
        if as_ == "text":
            payload = _text(body)
        elif as_ == "json":
            payload = json_text.loads(text_encoding.decode_text(body), max_values=_values(bounds))
    except json_text.TooManyValues as error:
        raise too_many_values(f"the octets are {error}") from error
    except ValueError as error:
        raise BadWire(f"the octets are not {as_}: {error}") from error
    return _bounded_record(payload, key, fidelity, bounds)


def _of_utf8(text: bytes, bounds: Bounds) -> Record:
    return _bounded_record(from_utf8(text, "json", as_json=True, max_values=_values(bounds)), None, "lossless", bounds)


def _bounded_record(payload: Payload, key: str | None, fidelity: Fidelity, bounds: Bounds) -> Record:
    kind, canonical = to_canonical(payload, max_values=_values(bounds))
    return Record(bounded(kind, canonical, fidelity, bounds.max_payload_bytes), key)


def _text(body: bytes) -> str:
    """Text comes back as the octets that it was: its byte order mark stays, and other encodings than UTF-8 are none."""
    encoding, _ = text_encoding.encoding_of(body)
    if encoding != "utf-8":
        raise ValueError(f"they are {encoding}, by their byte order mark; send UTF-8, or kind=bytes, which keeps them")
    return body.decode()
