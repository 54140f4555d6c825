"""Payloads as JSON objects, for HTTP bodies and JSON Lines: what JSON cannot hold gets a key of its own."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from nbmf import arrays, json_text
from nbmf.errors import CorruptBlob, NbmfError
from nbmf.json_text import DEFAULT_MAX_VALUES
from nbmf.payload import Canonical, Kind, Payload, to_canonical, too_many_values
from nbmf.text_encoding import decode_text, encoding_of

PAYLOAD_FIELDS = ("payload", "bytes_base64", "array", "text_base64", "json_base64")

_ARRAY_FIELDS = {"dtype", "shape", "data_base64"}
_ARRAY_OPTIONS = {"byte_order": ("little", "big"), "library": ("numpy", "torch")}

_PIECE_BYTES = 1 << 16

_BATCH_LEVELS = 3
"""Of `{"results": [{"payload": …}]}`, around a payload that may itself be as deep as a payload can."""

# Two lone surrogates that, written as escapes, a JSON parser would join to one character.
_ESCAPES_JOIN = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ENCODED_JOIN = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")


class BadWire(NbmfError):
    """A JSON object does not say what a payload is."""

    code = "bad_request"


def to_wire(payload: Payload) -> dict[str, Any]:
    """`{"payload": v}`, `{"bytes_base64": s}` or `{"array": {"dtype", "shape", "data_base64"}}`.

    An array of big-endian numbers has `"byte_order": "big"` besides, a PyTorch tensor `"library": "torch"`; `data` is
    little-endian all the same. Raises UnsupportedPayload for arrays that cannot be kept.
    What escapes in JSON would change is `{"text_base64": s}` or, of the payload's JSON text, `{"json_base64": s}`:
    UTF-8 in which a lone surrogate is three bytes.
    """
    if type(payload) is bytes:
        return {"bytes_base64": _base64(payload)}
    if arrays.is_array(payload):
        return {"array": _array_fields(arrays.to_bytes(payload))}
    text = payload if type(payload) is str else json_text.dumps(payload)
    if _ESCAPES_JOIN.search(text):
        return _exact("text" if type(payload) is str else "json", text.encode("utf-8", "surrogatepass"))
    return {"payload": payload}


def _array_fields(canonical: bytes) -> dict[str, Any]:
    form, at = arrays.split(canonical)
    fields = {"dtype": form.type, "shape": list(form.shape), "data_base64": _base64(canonical[at:])}
    if form.big_endian:
        fields["byte_order"] = "big"
    if form.tensor:
        fields["library"] = "torch"
    return fields


def _exact(of: str, data: bytes) -> dict[str, Any]:
    return {f"{of}_base64": _base64(data)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def canonical_to_json(kind: Kind, canonical: bytes) -> bytes:
    """JSON text of `to_wire` of a payload's canonical bytes, which are taken as they are: no JSON is parsed.

    Raises CorruptBlob for what is no text.
    """
    if kind is Kind.ARRAY:
        return dump({"array": _array_fields(canonical)})
    if kind is Kind.BYTES:
        return dump(to_wire(canonical))
    if _ENCODED_JOIN.search(canonical):
        return dump(_exact("text" if kind is Kind.TEXT else "json", canonical))
    if kind is Kind.TEXT:
        return b"".join([b'{"payload":"', *(dump(piece)[1:-1] for piece in _pieces(canonical)), b'"}'])
    return b"".join([b'{"payload":', *map(_utf8, _pieces(canonical)), b"}"])


def _pieces(canonical: bytes) -> Iterator[str]:
    """The text in parts: a whole one may take long, in which no other thread runs. Raises CorruptBlob."""
    at = 0
    while at < len(canonical):
        end = at + _PIECE_BYTES
        while end < len(canonical) and canonical[end] & 0xC0 == 0x80:  # in a character
            end += 1
        try:
            yield canonical[at:end].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise CorruptBlob(f"not UTF-8 from byte {at} on: {error}") from error
        at = end


def dump(value: Any) -> bytes:
    """JSON text that is valid UTF-8 whatever the value: lone surrogates are written as escapes."""
    return _utf8(json_text.dumps(value))


def load(data: bytes, max_values: int = DEFAULT_MAX_VALUES) -> Any:
    """The value of a body's JSON text, in which payloads stand: UTF-8, unless a byte order mark says otherwise.

    Raises ValueError if it is not JSON, json_text.DuplicateKey where an object has a key twice, TooManyValues.
    """
    return json_text.loads(decode_text(data), json_text.MAX_DEPTH + _BATCH_LEVELS, max_values=max_values)


def load_named(data: bytes, what: str, max_values: int = DEFAULT_MAX_VALUES, limit: str = "max_payload_bytes") -> Any:
    """As `load`. Raises BadWire, which says what is wrong with `what`: the body, the input; PayloadTooLarge, which
    names the `limit` that bounds the values."""
    try:
        return load(data, max_values)
    except json_text.TooManyValues as error:
        raise too_many_values(f"{what} is {error}", limit) from error
    except ValueError as error:
        raise _not_json(what, error) from error


def _not_json(what: str, error: ValueError) -> NbmfError:
    if isinstance(error, json_text.TooManyValues):
        return too_many_values(f"{what} is {error}")
    if isinstance(error, json_text.DuplicateKey):
        return BadWire(f"{what}: {error}")
    return BadWire(f"{what} is not JSON: {error}")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def from_wire(fields: dict[str, Any]) -> Payload:
    """The payload. Raises BadWire, MissingLibrary, PayloadTooLarge."""
    field, value = _given(fields)
    return arrays.from_bytes(_array(value)) if field == "array" else _value(field, value)


def canonical_from_wire(fields: dict[str, Any], max_values: int = DEFAULT_MAX_VALUES) -> Canonical:
    """The payload's kind and canonical bytes; no array is made. Raises BadWire, UnsupportedPayload, PayloadTooLarge."""
    field, value = _given(fields)
    if field == "array":
        return Canonical(Kind.ARRAY, _array(value))
    return to_canonical(_value(field, value, max_values), max_values=max_values)


def _given(fields: dict[str, Any]) -> tuple[str, Any]:
    given = [key for key in PAYLOAD_FIELDS if key in fields]
    if len(given) != 1:
        raise BadWire(f"exactly one of {', '.join(PAYLOAD_FIELDS)} is needed; there are {given or 'none'}")
    return given[0], fields[given[0]]


def _value(field: str, value: Any, max_values: int = DEFAULT_MAX_VALUES) -> Payload:
    if field == "payload":
        return value
    data = from_base64(value, field)
    return (
        data
        if field == "bytes_base64"
        else from_utf8(data, field, as_json=field == "json_base64", max_values=max_values)
    )


def from_utf8(data: bytes, field: str, *, as_json: bool, max_values: int = DEFAULT_MAX_VALUES) -> Payload:
    """Text, or the value that a JSON text writes, of UTF-8 in which a lone surrogate is three bytes.

    Raises BadWire, PayloadTooLarge.

    JSON may begin with a byte order mark, as in bodies and files; of text a mark is kept.
    """
    encoding, mark_bytes = encoding_of(data) if as_json else ("utf-8", 0)
    try:
        text = data[mark_bytes:].decode(encoding, "surrogatepass")
    except ValueError as error:
        raise BadWire(f"{field} is not text: {error}") from error
    try:
        return json_text.loads(text, max_values=max_values) if as_json else text
    except ValueError as error:
        raise _not_json(field, error) from error


def from_base64(text: Any, field: str) -> bytes:
    """Bytes in standard base64. Raises BadWire naming the field."""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise BadWire(f"{field} is not base64: {error}") from error


def _array(fields: Any) -> bytes:
    if type(fields) is not dict or not _ARRAY_FIELDS <= fields.keys() <= _ARRAY_FIELDS | _ARRAY_OPTIONS.keys():
        raise BadWire(f"array needs dtype, shape and data_base64, and may have {', '.join(_ARRAY_OPTIONS)}")
    for name, known in _ARRAY_OPTIONS.items():
        if fields.get(name, known[0]) not in known:
            raise BadWire(f"array.{name} is {' or '.join(known)}")
    shape = fields["shape"]
    if type(shape) is not list or not all(type(n) is int and 0 <= n <= arrays.MAX_ELEMENTS for n in shape):
        raise BadWire(f"array.shape is a list of sizes, which are at most {arrays.MAX_ELEMENTS}")
    return array_of(
        fields["dtype"],
        shape,
        from_base64(fields["data_base64"], "array.data_base64"),
        big_endian=fields.get("byte_order") == "big",
        tensor=fields.get("library") == "torch",
    )


def array_of(dtype: Any, shape: list[int], data: bytes, *, big_endian: bool = False, tensor: bool = False) -> bytes:
    """Canonical bytes of the array of these numbers, which are little-endian. Raises BadWire."""
    if dtype not in arrays.TYPES:
        raise BadWire(f"array.dtype is one of {', '.join(arrays.TYPES)}")
    try:
        form = arrays.Form(dtype, tuple(shape), big_endian, tensor)
        canonical = form.header() + data
        fits = arrays.split(canonical)[0] == form
    except (CorruptBlob, ValueError) as error:
        raise BadWire(f"array.shape does not fit its data: {error}") from error
    if not fits:
        raise BadWire(f"array.shape does not fit its data: {shape} of {dtype} and {len(data)} bytes")
    return canonical
