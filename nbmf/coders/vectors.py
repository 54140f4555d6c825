"""Float vectors up to a cosine: a transform, trellis-coded quantisation, a range coder (nbmf/_core/vectors.h).

Body: a byte with the type (2 bits), whether a norm and whether the array header's flags follow (1 bit each), and the
step (4 bits); the flags (1 byte), the step (1) and the norm (3) where they do; the range coder's stream.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from nbmf import arrays, varint
from nbmf.coders.base import OneByOne
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind
from nbmf.vectors import coding
from nbmf.vectors.aim import LEAST_DIMS, MOST_DIMS, TYPES, Aim, type_and_flags
from nbmf.vectors.spaces import Spaces


class _Vector(NamedTuple):
    """A vector in canonical bytes."""

    head: bytes
    numbers: bytes
    type: str
    dims: int
    flags: int | None


def _vector_of(kind: Kind, canonical: bytes) -> _Vector | None:
    if kind is not Kind.ARRAY:
        return None
    form, at = arrays.split(canonical)
    if len(form.shape) != 1 or form.type not in TYPES or not LEAST_DIMS <= form.shape[0] <= MOST_DIMS:
        return None
    flags = canonical[1] if at == 2 else None
    return _Vector(canonical[:at], canonical[at:], form.type, form.shape[0], flags)


def _head_of(body: bytes, kind: Kind, payload_bytes: int, name: str) -> tuple[bytes, str, int]:
    """(array's header, type, dims) of a body's vector. Raises CorruptBlob."""
    if kind is not Kind.ARRAY:
        raise CorruptBlob(f"{name} hold an array only")
    number_type, flags = type_and_flags(body)
    number = arrays.TYPES.index(number_type)
    head = bytes([number | 1 << 4] if flags is None else [15 | 1 << 4, flags])
    form, at = arrays.read_header(head, payload_bytes)
    if form.type != number_type or at + form.numbers_bytes != payload_bytes:
        raise CorruptBlob(f"a vector of {form.shape[0]} numbers by {name}")
    return head, number_type, form.shape[0]


class VectorsCoder(OneByOne):
    """By a fixed rotation. Decodes to what it made of a vector; `approximate` is how a vector comes to be that."""

    number: ClassVar[int] = 12
    name: ClassVar[str] = "vectors"

    def approximate(self, kind: Kind, canonical: bytes, aim: Aim) -> tuple[bytes, bytes, float] | None:
        """(canonical bytes of the vector that the body decodes to, body, cosine of both vectors); None of what it
        cannot keep above the floor, or is no vector of 8 to 65,536 floats."""
        vector = _vector_of(kind, canonical)
        space = coding.space_of(vector.dims) if vector else None
        if vector is None or space is None:
            return None
        (body,), decoded, (cosine,) = coding.encode(space, vector.numbers, 1, vector.type, aim, vector.flags)
        return None if body is None else (vector.head + decoded, body, cosine)

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        return None  # lossless only by chance

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        head, number_type, dims = _head_of(body, kind, payload_bytes, self.name)
        return head + _decode(body, number_type, dims)


class LearnedVectorsCoder(OneByOne):
    """The same by the spaces that a version has learnt: a varint with the space's number, and such a body."""

    number: ClassVar[int] = 10
    name: ClassVar[str] = "vectors_learned"

    def __init__(self, spaces: Spaces) -> None:
        self.spaces = spaces

    def approximate(self, kind: Kind, canonical: bytes, aim: Aim) -> tuple[bytes, bytes, float] | None:
        """As that of VectorsCoder; None too where the version has no space of so many dims. Raises DamagedCodec."""
        vector = _vector_of(kind, canonical)
        near = vector and self.spaces.nearest(vector.numbers, vector.dims, vector.type, aim, vector.flags)
        if not vector or near is None:
            return None
        return vector.head + near.decoded, varint.to_bytes(near.space) + near.body, near.cosine

    def golden_vectors(self) -> Iterator[tuple[bytes, bytes]]:
        """Such pairs, one by each space at the most: a vector in all directions, as float32."""
        aim = Aim(least_cosine=0.5)
        for dims in dict.fromkeys(map(self.spaces.dims_of, range(len(self.spaces)))):
            numbers = array("f", [math.sin(index * index) for index in range(dims)])
            if sys.byteorder == "big":
                numbers.byteswap()
            near = self.spaces.nearest(numbers.tobytes(), dims, "float32", aim)
            if near:
                head = bytes([arrays.TYPES.index("float32") | 1 << 4])
                yield head + near.decoded, varint.to_bytes(near.space) + near.body

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        return None  # lossless only by chance

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        number, at = varint.read(body, 0)
        head, number_type, dims = _head_of(body[at:], kind, payload_bytes, self.name)
        return head + self.spaces.decode(number, body[at:], number_type, dims)


def decode_numbers(body: bytes, type_: str, count: int) -> bytes:
    """The numbers of a body that holds no array's flags. Raises CorruptBlob."""
    _check_type(body, type_)
    return _decode(body, type_, count)


def decode_learned_numbers(body: bytes, type_: str, count: int, spaces: Spaces) -> bytes:
    """The same of LearnedVectorsCoder's. Raises CorruptBlob, DamagedCodec."""
    number, at = varint.read(body, 0)
    _check_type(body[at:], type_)
    return spaces.decode(number, body[at:], type_, count)


def _check_type(body: bytes, type_: str) -> None:
    if type_and_flags(body) != (type_, None):
        raise CorruptBlob("a vector of another type")


def _decode(body: bytes, type_: str, count: int) -> bytes:
    space = coding.space_of(count)
    if space is None:
        raise CorruptBlob(f"a vector of {count} numbers by {VectorsCoder.name}")
    decoded, (good,) = coding.decode(space, [body], count, type_)
    if not good:
        raise CorruptBlob("a damaged vector")
    return bytes(decoded)
