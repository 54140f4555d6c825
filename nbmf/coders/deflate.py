"""Deflate (RFC 1951), which is smaller than zstd for many short records and for text that hardly repeats.

A body is a raw deflate stream less the bytes at its end that are not needed, with a fixed dictionary in front of the
data. It is there so that no blob is larger than what zlib makes of the record.
"""

from __future__ import annotations

import contextlib
import zlib
from typing import ClassVar

from nbmf.coders.base import OneByOne
from nbmf.coders.deflate_dictionary import DICTIONARY
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

PADDING = bytes(8)
"""What a stream goes on with behind its last byte: the end-of-block code is not needed where the length is known."""

_RAW = -15
_LEVEL = 9
_MAX_EXPANSION = 1032
_MOST_LEFT_OUT = 3


def compress(data: bytes) -> bytes:
    """The shorter of the streams with and without matches into the dictionary. Not for empty data."""
    streams = []
    for memory, dictionary in ((8, b""), (9, DICTIONARY)):
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, memory, zlib.Z_DEFAULT_STRATEGY, dictionary)
        streams.append(compressor.compress(data) + compressor.flush())
    shortest = min(streams, key=len)
    for left_out in range(_MOST_LEFT_OUT, 0, -1):
        with contextlib.suppress(zlib.error):
            if _inflate(shortest[:-left_out], len(data)) == (data, True):
                return shortest[:-left_out]
    return shortest


def decompress(body: bytes, size: int) -> bytes:
    """Raises CorruptBlob unless the stream gives `size` bytes (at least 1), or if it goes on behind them."""
    if size > (len(body) + len(PADDING)) * _MAX_EXPANSION:
        raise CorruptBlob(f"deflate body of {len(body)} bytes cannot hold the {size} that the blob says")
    try:
        data, used = _inflate(body, size)
    except zlib.error as error:
        raise CorruptBlob(f"deflate body: {error}") from error
    if len(data) != size or not used:
        raise CorruptBlob(f"deflate body does not hold just the {size} bytes that the blob says")
    return data


def _inflate(body: bytes, size: int) -> tuple[bytes, bool]:
    """At most `size` bytes, and whether all of the body was read for them. Raises zlib.error."""
    stream = zlib.decompressobj(_RAW, DICTIONARY)
    data = stream.decompress(body + PADDING, size)
    return data, len(stream.unconsumed_tail) + len(stream.unused_data) <= len(PADDING)


class DeflateCoder(OneByOne):
    """All kinds but arrays."""

    number: ClassVar[int] = 11
    name: ClassVar[str] = "deflate"

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        return compress(canonical) if canonical and kind is not Kind.ARRAY else None

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        if payload_bytes == 0 or kind is Kind.ARRAY:
            raise CorruptBlob(f"deflate body of {payload_bytes} bytes of {kind.label}")
        return decompress(body, payload_bytes)
