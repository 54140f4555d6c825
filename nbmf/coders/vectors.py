"""Float vectors up to a cosine: a fixed rotation, trellis-coded quantisation, a range coder (nbmf/_core/vectors.h).

Body: a byte with the type (2 bits), whether a norm and whether the array header's flags follow (1 bit each), and the
step (4 bits); the flags (1 byte), the step (1) and the norm (3) where they do; the range coder's stream.
"""

from __future__ import annotations

from typing import ClassVar

from nbmf import arrays
from nbmf.coders.base import OneByOne
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind
from nbmf.vectors import coding
from nbmf.vectors.aim import TYPES, Aim, type_and_flags


class VectorsCoder(OneByOne):
    """Decodes to what it made of a vector; `approximate` is how a vector comes to be that."""

    number: ClassVar[int] = 12
    name: ClassVar[str] = "vectors"

    def approximate(self, kind: Kind, canonical: bytes, aim: Aim) -> tuple[bytes, bytes, float] | None:
        """(canonical bytes of the vector that the body decodes to, body, cosine of both vectors); None of what it
        cannot keep above the floor, or is no vector of 8 to 65,536 floats."""
        if kind is not Kind.ARRAY:
            return None
        form, at = arrays.split(canonical)
        space = coding.space_of(form.shape[0]) if len(form.shape) == 1 else None
        if space is None or form.type not in TYPES:
            return None
        flags = canonical[1] if at == 2 else None
        (body,), decoded, (cosine,) = coding.encode(space, canonical[at:], 1, form.type, aim, flags)
        return None if body is None else (canonical[:at] + decoded, body, cosine)

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        return None  # lossless only by chance

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if kind is not Kind.ARRAY:
            raise CorruptBlob(f"{self.name} hold an array only")
        number_type, flags = type_and_flags(body)
        number = arrays.TYPES.index(number_type)
        head = bytes([number | 1 << 4] if flags is None else [15 | 1 << 4, flags])
        form, at = arrays.read_header(head, payload_bytes)
        if form.type != number_type or at + form.numbers_bytes != payload_bytes:
            raise CorruptBlob(f"a vector of {form.shape[0]} numbers by {self.name}")
        return head + _decode(body, number_type, form.shape[0])


def decode_numbers(body: bytes, type_: str, count: int) -> bytes:
    """The numbers of a body that holds no array's flags. Raises CorruptBlob."""
    if type_and_flags(body) != (type_, None):
        raise CorruptBlob("a vector of another type")
    return _decode(body, type_, count)


def _decode(body: bytes, type_: str, count: int) -> bytes:
    space = coding.space_of(count)
    if space is None:
        raise CorruptBlob(f"a vector of {count} numbers by {VectorsCoder.name}")
    decoded, (good,) = coding.decode(space, [body], count, type_)
    if not good:
        raise CorruptBlob("a damaged vector")
    return bytes(decoded)
