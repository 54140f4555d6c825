"""Dict blobs in bodies, the zlib stub's and those of nbmf.compat, in the places of blobs.

It imports no Ray, as all that reads bodies. What the stub wrote is inflated first, and parsed where its size says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from nbmf import compat, stub
from nbmf.errors import NbmfError, attempt
from nbmf.json_text import values_within
from nbmf.payload import to_canonical
from nbmf.wire import BadWire, from_base64, load_named
from serve_app.reading.items import (
    BatchTooLarge,
    Bounds,
    Read,
    Record,
    batch_of,
    bounded,
    check_fields,
    parse_object,
)

STUB, PREVIEW = "stub", "stub_preview"
"""Of `DictBlob.form`."""

_SPACES = 2
"""The stub put a space behind commas and colons, so that its text has more bytes than the canonical one, not twice."""


class DictBlob(NamedTuple):
    """What is in a dict blob. `form` as of compat.form_of; `data` is the blob; of the stub the JSON text, or the
    preview, in UTF-8."""

    form: str
    data: bytes


class _Opening:
    """Takes dict blobs apart, as long as those of the stub hold no more together than a request may."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._inflated_bytes = 0

    def each(
        self, blob_of: Callable[[Any], bytes | DictBlob], items: Iterable[Any]
    ) -> list[bytes | DictBlob | NbmfError]:
        """What `blob_of` gives for each, or the error that it raises. Raises BatchTooLarge."""
        read: list[bytes | DictBlob | NbmfError] = []
        limit = self._bounds.max_batch_payload_bytes
        for item in items:
            read.append(attempt(blob_of, item))
            if self._inflated_bytes > _SPACES * limit:
                raise BatchTooLarge(f"the stub's blobs hold more than {limit} bytes, which the server takes at a time")
        return read

    def open(self, item: dict[str, Any]) -> DictBlob:
        """Raises BadWire, DamagedStubBlob, BlobError."""
        form = compat.form_of(item)
        if form is None:
            raise BadWire("`blob` is base64, or a dict blob of the stub or of nbmf.compat: {meta, code, …}")
        if form not in (STUB, PREVIEW):
            return DictBlob(form, compat.unwrap(item))
        data = stub.text_of(item, _SPACES * self._bounds.max_payload_bytes).encode()
        self._inflated_bytes += len(data)
        return DictBlob(form, data)


def blobs_of_json(parts: Sequence[bytes], bounds: Bounds) -> Read[bytes | DictBlob]:
    """Blobs of one JSON body. Raises BadWire, BatchTooLarge, PayloadTooLarge."""
    (body,) = parts
    fields = parse_object(body, bounds.max_body_bytes)
    is_batch = "blobs" in fields
    if not is_batch:
        check_fields(fields, "blob")
        if "blob" not in fields:
            raise BadWire("a body has `blob`, or `blobs` for a batch")
    items = batch_of(fields, "blobs", bounds) if is_batch else [fields["blob"]]
    opening = _Opening(bounds)

    def blob_of(item: Any) -> bytes | DictBlob:
        return opening.open(item) if type(item) is dict else from_base64(item, "blob")

    return Read(is_batch, opening.each(blob_of, items))


def may_be_dict_blob(octets: bytes) -> bool:
    """Whether octets might be the JSON text of a dict blob. No blob begins like that."""
    return octets[:1] == b"{"


def blobs_of_octets(parts: Sequence[bytes], bounds: Bounds) -> Read[bytes | DictBlob]:
    """Blobs as octets, or dict blobs as JSON text; what is neither is left as it is."""
    opening = _Opening(bounds)

    def blob_of(part: bytes) -> bytes | DictBlob:
        if not may_be_dict_blob(part):
            return part
        item = attempt(load_named, part, "the blob", values_within(bounds.max_body_bytes))
        return opening.open(item) if type(item) is dict and compat.form_of(item) else part

    return Read(True, opening.each(blob_of, parts))


def records_of_stub(parts: Sequence[bytes], bounds: Bounds) -> Read[Record]:
    """The records in JSON texts that the stub's lossless blobs held."""
    return Read(True, [attempt(_record, part, bounds) for part in parts])


def _record(text: bytes, bounds: Bounds) -> Record:
    max_values = values_within(bounds.max_payload_bytes)
    payload = stub.payload_of(text.decode(), max_values)
    kind, canonical = to_canonical(payload, max_values=max_values)
    return Record(bounded(kind, canonical, "lossless", bounds.max_payload_bytes), None)
