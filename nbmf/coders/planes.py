"""Items of several bytes as planes: the first bytes of all, then the second, ..."""

from __future__ import annotations


def to_planes(data: bytes, width: int) -> bytes:
    """Of items of `width` bytes each."""
    return b"".join(data[index::width] for index in range(width))


def from_planes(planes: bytes, width: int) -> bytes:
    """The items of so many planes of equal length."""
    data, items = bytearray(len(planes)), len(planes) // width
    for index in range(width):
        data[index::width] = planes[index * items : (index + 1) * items]
    return bytes(data)
