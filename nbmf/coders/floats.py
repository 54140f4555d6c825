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
        exponent_bits = _EXPONENT_BITS.get(form.type)
        if exponent_bits is None or not 0 < form.numbers_bytes <= MOST_NUMBERS * form.item_bytes:
            return None
        numbers, tried = canonical[at:], canonical[at : at + _TRIED * form.item_bytes]
        sizes = {}
        for predictor in _PREDICTORS:
            if (made := _core.encode_floats(tried, form.item_bytes, exponent_bits, predictor)) is not None:
                sizes[len(made[2]), predictor] = made
        for _, predictor in sorted(sizes):
            if len(tried) < len(numbers):
                made = _core.encode_floats(numbers, form.item_bytes, exponent_bits, predictor)
            else:
                made = sizes[min(sizes)]
            if made is not None:
                dropped, largest, stream = made
                return bytes([predictor | dropped << 2]) + varint.to_bytes(largest) + canonical[:at] + stream
        return None

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if kind is not Kind.ARRAY or not body:
            raise CorruptBlob(f"{self.name} hold an array only")
        largest, begin = varint.read(body, 1)
        form, at = arrays.read_header(body[begin:], payload_bytes)
        head = body[begin : begin + at]
        exponent_bits = _EXPONENT_BITS.get(form.type)
        if exponent_bits is None or len(head) != at or form.numbers_bytes != payload_bytes - at:
            raise CorruptBlob("floats with a damaged header")
        if not 0 < form.numbers_bytes <= MOST_NUMBERS * form.item_bytes:
            raise CorruptBlob(f"{form.numbers_bytes} bytes of {self.name}")
        numbers = bytearray(form.numbers_bytes)
        try:
            _core.decode_floats(
                body[begin + at :], form.item_bytes, exponent_bits, body[0] & 3, body[0] >> 2, largest, numbers
            )
        except (ValueError, OverflowError) as error:
            raise CorruptBlob(f"floats with a damaged header: {error}") from error
        return head + bytes(numbers)
