"""Arrays: the first bytes of all numbers, then the second, ..., through zstd.

Sign and exponent bytes of neighbours resemble each other, mantissa bytes do not (the byte shuffle of
HDF5 and Blosc). A zstd block without matches is stored raw, so the noise costs almost nothing.
"""

from __future__ import annotations

from copy import copy
from typing import ClassVar

from nbmf import arrays
from nbmf.coders.base import OneByOne
from nbmf.coders.planes import from_planes, to_planes
from nbmf.coders.zstd import ZstdCoder
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

_MAX_HEAD_BYTES = 128


class BytePlanesCoder(OneByOne):
    """Body: length of the array's header (1 byte), the header, zstd of the planes, each plane apart."""

    number: ClassVar[int] = 3
    name: ClassVar[str] = "byte_planes"

    def __init__(self) -> None:
        self._zstd = ZstdCoder()

    def strongest(self) -> BytePlanesCoder:
        coder = copy(self)
        coder._zstd = self._zstd.strongest()
        return coder

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        if kind is not Kind.ARRAY:
            return None
        form, at = arrays.split(canonical)
        planes = to_planes(canonical[at:], form.item_bytes)
        return bytes([at]) + canonical[:at] + self._zstd.encode(kind, planes)

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if kind is not Kind.ARRAY or not body:
            raise CorruptBlob("byte planes hold an array only")
        at = body[0]
        head = body[1 : 1 + at]
        if not 1 <= at <= min(_MAX_HEAD_BYTES, payload_bytes) or len(head) != at:
            raise CorruptBlob("byte planes with a damaged header")
        form, end = arrays.read_header(head, payload_bytes)
        if end != at or form.numbers_bytes != payload_bytes - at:
            raise CorruptBlob("byte planes of unequal length")
        planes = self._zstd.decode(kind, body[1 + at :], payload_bytes - at)
        return head + from_planes(planes, form.item_bytes)
