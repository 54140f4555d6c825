"""Arrays of floats, every bit kept: signs and exponents, differences or decimals by counts of the array's own.

Body: a byte with the predictor (2 bits) and the low bits that are zero in all numbers, or the digits of decimals
(6 bits); the largest exponent, or the bits of the largest decimal, as a varint; the array's header; the range coder's
stream.
"""

from __future__ import annotations

from typing import ClassVar

from nbmf import _core, arrays, varint
from nbmf.coders.base import OneByOne
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

_EXPONENT_BITS = {"float16": 5, "float32": 8, "float64": 11, "bfloat16": 8}
_PREDICTORS = range(4)
MOST_NUMBERS = 1 << 20
"""A larger array goes by other coders: this one takes 50 ns a number."""

_TRIED = 4_096
"""Numbers that the predictor is chosen by."""


class FloatsCoder(OneByOne):
    number: ClassVar[int] = 13
    name: ClassVar[str] = "floats"

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        if kind is not Kind.ARRAY:
            return None
        form, at = arrays.split(canonical)
        made = encode_numbers(canonical[at:], form.type, form.item_bytes)
        if made is None:
            return None
        parameters, stream = made
        return parameters + canonical[:at] + stream

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if kind is not Kind.ARRAY or not body:
            raise CorruptBlob(f"{self.name} hold an array only")
        _, begin = varint.read(body, 1)
        form, at = arrays.read_header(body[begin:], payload_bytes)
        head = body[begin : begin + at]
        if form.type not in _EXPONENT_BITS or len(head) != at or form.numbers_bytes != payload_bytes - at:
            raise CorruptBlob("floats with a damaged header")
        numbers = decode_numbers(
            body[:begin], body[begin + at :], form.type, form.item_bytes, form.numbers_bytes // form.item_bytes
        )
        return head + numbers


def encode_numbers(numbers: bytes, type_: str, item_bytes: int) -> tuple[bytes, bytes] | None:
    """(parameters, stream) of the predictor that makes the least; None of what they cannot hold."""
    exponent_bits = _EXPONENT_BITS.get(type_)
    if exponent_bits is None or not 0 < len(numbers) <= MOST_NUMBERS * item_bytes:
        return None
    tried = numbers[: _TRIED * item_bytes]
    sizes = {}
    for predictor in _PREDICTORS:
        if (made := _core.encode_floats(tried, item_bytes, exponent_bits, predictor)) is not None:
            sizes[len(made[2]), predictor] = made
    for _, predictor in sorted(sizes):
        if len(tried) < len(numbers):
            made = _core.encode_floats(numbers, item_bytes, exponent_bits, predictor)
        else:
            made = sizes[min(sizes)]
        if made is not None:
            dropped, largest, stream = made
            return bytes([predictor | dropped << 2]) + varint.to_bytes(largest), stream
    return None


def decode_numbers(parameters: bytes, stream: bytes, type_: str, item_bytes: int, count: int) -> bytes:
    """The numbers, 1 to MOST_NUMBERS of them. Raises CorruptBlob."""
    if not 0 < count <= MOST_NUMBERS:
        raise CorruptBlob(f"{count} numbers by {FloatsCoder.name}")
    numbers = bytearray(count * item_bytes)
    head, (largest, _) = parameters[0], varint.read(parameters, 1)
    try:
        _core.decode_floats(stream, item_bytes, _EXPONENT_BITS[type_], head & 3, head >> 2, largest, numbers)
    except (ValueError, OverflowError) as error:
        raise CorruptBlob(f"floats with damaged parameters: {error}") from error
    return bytes(numbers)
