"""Blobs that are read to be decoded: as they are, or as JSON of dict blobs, of nbmf or of the stub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from nbmf import compat, stub
from nbmf.catalog import Catalog
from nbmf.decoding import parse_bounded
from nbmf.json_text import values_within
from nbmf.payload import Kind, to_canonical
from nbmf.wire import BadWire, from_base64, load_named

PREVIEW = "stub_preview"


class Decoded(NamedTuple):
    """A record, and which dict blob held it, as of compat.form_of; None for a blob as it is."""

    kind: Kind
    canonical: bytes
    form: str | None


def decoder(catalog: Catalog, max_output_bytes: int) -> Callable[[bytes | dict[str, Any]], Decoded]:
    """Decodes a blob or dict blob with the versions of a catalog."""

    def decoded(held: bytes | dict[str, Any]) -> Decoded:
        form = None
        if isinstance(held, dict):
            form = compat.form_of(held)
            if form in ("stub", PREVIEW):
                payload = stub.decode(held, max_output_bytes=max_output_bytes)
                return Decoded(*to_canonical(payload, max_values=values_within(max_output_bytes)), form)
            held = compat.unwrap(held)
        parsed = parse_bounded(held, max_output_bytes)
        return Decoded(parsed.kind, catalog.decode_canonical(parsed), form)

    return decoded


def held_in(data: bytes) -> bytes | dict[str, Any]:
    """The dict blob that a file is the JSON text of, or its content as it is."""
    return compat.of_json(data) or data


def held_in_line(line: bytes) -> bytes | dict[str, Any]:
    """The blob or dict blob in a line of JSON. Raises BadWire."""
    fields = load_named(line, "the line")
    if type(fields) is dict and compat.form_of(fields):
        return fields
    if type(fields) is not dict or "blob" not in fields:
        raise BadWire('a line is not an object with a "blob", nor a dict blob')
    blob = fields["blob"]
    if type(blob) is not dict:
        return from_base64(blob, "blob")
    if compat.form_of(blob) is None:
        raise BadWire('"blob" is neither base64 nor a dict blob')
    return blob
