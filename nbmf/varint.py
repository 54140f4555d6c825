"""Unsigned LEB128 integers: seven bits a byte, least significant first, shortest form only."""

from __future__ import annotations

from nbmf.errors import CorruptBlob

MAX_BYTES = 8


def to_bytes(value: int) -> bytes:
    """Raises ValueError if `value` is negative or needs more than 56 bits."""
    if not 0 <= value < 1 << 7 * MAX_BYTES:
        raise ValueError(f"{value} does not fit a varint of {MAX_BYTES} bytes")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read(data: bytes, at: int) -> tuple[int, int]:
    """(value, offset behind it). Raises CorruptBlob if truncated, too long or not the shortest form."""
    value = 0
    for position in range(MAX_BYTES):
        if at + position >= len(data):
            raise CorruptBlob("truncated inside a length")
        byte = data[at + position]
        value |= (byte & 127) << 7 * position
        if byte < 128:
            if byte == 0 and position > 0:
                raise CorruptBlob("a length is not in its shortest form")
            return value, at + position + 1
    raise CorruptBlob(f"a length of more than {MAX_BYTES} bytes")
