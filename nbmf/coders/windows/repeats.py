"""Repeats over long distances: found, cut out, and put back.

A repeat is a stretch of a record that has stood before, anywhere, and may overlap with what it repeats. Of each the
table says how many bytes are kept before it, how long it is, and how far back it stood.
"""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import NamedTuple

from nbmf.coders.planes import from_planes, to_planes
from nbmf.coders.zstd import ZstdCoder
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

LEAST_BYTES = 32
"""Of a repeat. What is shorter takes more to tell than to code again."""

MAX_PAYLOAD_BYTES = (1 << 32) - 1
_COLUMNS, _NUMBER_BYTES = 3, 4
_ZSTD = ZstdCoder()


class Repeat(NamedTuple):
    """In bytes: kept since the repeat before, its length, how far back it stood."""

    kept: int
    length: int
    distance: int


def find(data: bytes, least_bytes: int) -> list[Repeat]:
    """Repeats of at least so many bytes (LEAST_BYTES or more), in order, none over another; in linear time."""
    from nbmf import _core

    return [*map(Repeat._make, struct.iter_unpack("=3I", _core.find_repeats(data, least_bytes)))]


def kept(data: bytes, repeats: list[Repeat]) -> bytes:
    """What is left of the data without the repeats."""
    parts, at = [], 0
    for repeat in repeats:
        parts.append(data[at : at + repeat.kept])
        at += repeat.kept + repeat.length
    return b"".join([*parts, data[at:]])


def restored(rest: bytes, repeats: list[Repeat]) -> bytes:
    """The whole from what `kept` left. Of repeats that `read_table` gave, it is as long as that was told."""
    out, at = bytearray(), 0
    for repeat in repeats:
        out += rest[at : at + repeat.kept]
        at += repeat.kept
        source = out[len(out) - repeat.distance : len(out) - repeat.distance + repeat.length]
        if len(source) < repeat.length:
            source = (source * (repeat.length // len(source) + 1))[: repeat.length]
        out += source
    return bytes(out + rest[at:])


def table(repeats: list[Repeat]) -> bytes:
    """A zstd body of 32-bit numbers, column by column, the low bytes of a column first."""
    columns = (struct.pack(f"<{len(repeats)}I", *column) for column in zip(*repeats, strict=True))
    return _ZSTD.encode(Kind.BYTES, b"".join(to_planes(column, _NUMBER_BYTES) for column in columns))


def read_table(body: bytes, count: int, rest_bytes: int, payload_bytes: int) -> list[Repeat]:
    """The repeats, such that `restored` gives `payload_bytes` from `rest_bytes`. Raises CorruptBlob."""
    if count > payload_bytes // LEAST_BYTES:
        raise CorruptBlob(f"{count} repeats in {payload_bytes} bytes")
    size = count * _NUMBER_BYTES
    planes = _ZSTD.decode(Kind.BYTES, body, _COLUMNS * size)
    columns = [from_planes(planes[at : at + size], _NUMBER_BYTES) for at in range(0, _COLUMNS * size, size)]
    kept_R, length_R, distance_R = (struct.unpack(f"<{count}I", column) for column in columns)
    repeats = [*map(Repeat, kept_R, length_R, distance_R)]
    ends = accumulate(repeat.kept + repeat.length for repeat in repeats)
    if (
        min(length_R) < LEAST_BYTES
        or min(distance_R) < 1
        or any(repeat.distance > end - repeat.length for repeat, end in zip(repeats, ends, strict=True))
        or sum(kept_R) > rest_bytes
        or rest_bytes + sum(length_R) != payload_bytes
    ):
        raise CorruptBlob(f"repeats that do not make {payload_bytes} bytes of {rest_bytes}")
    return repeats
