"""What a memory holds, and its canonical bytes: the thing that coders code and the checksum covers."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from nbmf import arrays, json_integer, json_text
from nbmf.errors import CorruptBlob, OutputTooLarge, PayloadTooLarge, UnsupportedPayload
from nbmf.hooks import Default, ObjectHook, with_defaults, with_object_hook
from nbmf.json_number import JsonNumber
from nbmf.json_path import path_text

Payload: TypeAlias = Any
"""str, bytes, a numpy array or PyTorch tensor, or any JSON value; a list of message dicts is a JSON value too."""

Fidelity: TypeAlias = Literal["lossless", "semantic"]

MAX_DEPTH = json_text.MAX_DEPTH


class Kind(enum.IntEnum):
    """What a payload is. The numbers are part of the format."""

    TEXT = 0
    MESSAGES = 1
    JSON = 2
    BYTES = 3
    ARRAY = 4

    @property
    def label(self) -> str:
        return self.name.lower()


class Canonical(NamedTuple):
    """A payload as coders code it: its kind and canonical bytes."""

    kind: Kind
    data: bytes


_SCALARS = frozenset({str, int, float, JsonNumber, bool, type(None)})
_SHOWN_LEVELS = 20
_QUICK_BITS = 14_284  # of integers that are not counted digit by digit: at most 4,300


def to_canonical(
    payload: Payload, default: Default | None = None, max_values: int = json_text.DEFAULT_MAX_VALUES
) -> Canonical:
    """A payload's kind and canonical bytes. Text and JSON are UTF-8 in which lone surrogates are kept as three bytes.

    `default` is asked for what is no payload, or in one (see nbmf.hooks). Raises UnsupportedPayload, naming the path,
    for what could not be given back equal; PayloadTooLarge for JSON of more values than json_text.loads would read.
    """
    if default is not None:
        payload = with_defaults(payload, default, MAX_DEPTH)
    if type(payload) is str:
        return Canonical(Kind.TEXT, payload.encode("utf-8", "surrogatepass"))
    if type(payload) is bytes:
        return Canonical(Kind.BYTES, payload)
    if arrays.is_array(payload):
        return Canonical(Kind.ARRAY, arrays.to_bytes(payload))
    check_json_value(payload, max_values)
    kind = Kind.MESSAGES if is_message_list(payload) else Kind.JSON
    text = json_text.dumps(payload)
    try:
        json_text.check_values(text, max_values)
    except json_text.TooManyValues as error:
        raise too_many_values(error) from error
    return Canonical(kind, text.encode("utf-8", "surrogatepass"))


def from_canonical(
    kind: Kind,
    canonical: bytes,
    object_hook: ObjectHook | None = None,
    max_values: int = json_text.DEFAULT_MAX_VALUES,
) -> Payload:
    """The payload; each object in JSON is what `object_hook` gives for it.

    Raises CorruptBlob if the bytes are not canonical bytes of that kind, OutputTooLarge for JSON of more values than
    `max_values`, MissingLibrary.
    """
    if kind is Kind.BYTES:
        return canonical
    if kind is Kind.ARRAY:
        return arrays.from_bytes(canonical)
    try:
        text = canonical.decode("utf-8", "surrogatepass")
        value = text if kind is Kind.TEXT else json_text.loads(text, unique_keys=False, max_values=max_values)
    except json_text.TooManyValues as error:
        raise OutputTooLarge(f"{error}; a larger max_output_bytes allows more, one for 8 bytes") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorruptBlob(f"not {kind.label}: {error}") from error
    return with_object_hook(value, object_hook) if object_hook else value


def check_canonical(kind: Kind, canonical: bytes, max_values: int) -> None:
    """Raises as `from_canonical`, but of arrays looks at the form only: their library need not be here."""
    if kind is Kind.ARRAY:
        arrays.split(canonical)
    else:
        from_canonical(kind, canonical, None, max_values)


def is_message_list(value: Payload) -> bool:
    """A non-empty list of dicts that each have a `role` (str) and a `content`."""
    return (
        type(value) is list
        and len(value) > 0
        and all(type(m) is dict and type(m.get("role")) is str and "content" in m for m in value)
    )


def check_json_value(value: Payload, max_digits: int = json_text.DEFAULT_MAX_VALUES) -> None:
    """Raises UnsupportedPayload unless JSON can hold `value` exactly: str, int, float, bool, None, list, dict.

    Raises PayloadTooLarge if long integers have more than `max_digits` together.
    """
    path: list[str | int] = []
    if type(value) in _SCALARS:
        if type(value) is int and json_integer.is_too_long(value):
            raise _integer_too_long(path)
        return
    digits = 0
    stack = [_children(value, path)]
    while stack:
        for key, child in stack[-1]:
            child_type = type(child)
            if child_type in _SCALARS:
                if child_type is int and child.bit_length() > _QUICK_BITS:
                    if json_integer.is_too_long(child):
                        raise _integer_too_long([*path, key])
                    digits += json_integer.most_digits(child)
                    if digits > max_digits:
                        raise too_many_values(f"long integers of more than {max_digits} digits together")
                continue
            path.append(key)
            stack.append(_children(child, path))
            break
        else:
            stack.pop()
            if path:
                path.pop()


def too_many_values(problem: object, limit: str = "max_payload_bytes") -> PayloadTooLarge:
    """What is raised for json_text.TooManyValues; `limit` is what they were bounded by."""
    return PayloadTooLarge(f"{problem}; a larger {limit} allows more, one for 8 bytes")


def _children(value: Payload, path: list[str | int]) -> Iterator[tuple[str | int, Payload]]:
    if len(path) >= MAX_DEPTH:
        raise UnsupportedPayload(
            path_text(path, _SHOWN_LEVELS), f"nested deeper than {MAX_DEPTH} levels, or contains itself"
        )
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise UnsupportedPayload(
                    path_text(path), f"a dict key is {_type_name(key)} ({key!r}); JSON keys are str"
                )
        return iter(value.items())
    if type(value) is list:
        return enumerate(value)
    raise UnsupportedPayload(path_text(path), f"cannot represent {_type_name(value)}{_remedy(value)}")


def _integer_too_long(path: list[str | int]) -> UnsupportedPayload:
    return UnsupportedPayload(path_text(path), f"integer of more than {json_text.MAX_INTEGER_DIGITS} digits")


def _type_name(value: object) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _remedy(value: object) -> str:
    if isinstance(value, tuple):
        return " (convert with list(...): it would come back as a list)"
    if isinstance(value, bytes | bytearray | memoryview):
        return " (inside JSON only text is possible: write it as base64 or hex; or encode it alone, as bytes)"
    for base in (str, bool, int, float, dict, list):
        if isinstance(value, base):
            return f" (convert with {base.__name__}(...): it would come back as a plain {base.__name__})"
    if arrays.is_array(value):
        return " (convert with .tolist(), or encode the array alone)"
    if type(value).__module__ == "numpy":
        return " (convert with .item())"
    return ""
