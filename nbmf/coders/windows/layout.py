"""What a windows body holds, repeats and windows with their streams: written, read and told (docs/format.md)."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from nbmf import varint
from nbmf.coders.neural import CountsCoder, NeuralCoder
from nbmf.coders.windows import repeats
from nbmf.coders.zstd import ZstdCoder
from nbmf.errors import CorruptBlob

WINDOW_BYTES = 256 * 1024
"""Of a window that the network or the counts code: decoding it takes some 250 bytes of memory for each, and for
each token that counts learn from first."""

DENSEST = 4096
"""Bytes of a window for each of its stream, at most: bounds what a small blob can ask for."""

GOES_ON = 7
"""In place of a coder's number: by counts that have learnt from the tokens of the window before."""

_ZSTD, _NETWORK, _COUNTS = ZstdCoder.number, NeuralCoder.number, CountsCoder.number
_METHOD_BITS = 3


class Window(NamedTuple):
    """The number of the coder or GOES_ON, how many bytes it codes, and its stream."""

    method: int
    size: int
    stream: bytes


def write_layout(found: list[repeats.Repeat], rest_bytes: int, windows: list[Window]) -> bytes:
    """The body of what repeats, and of windows of `rest_bytes` together."""
    head = [varint.to_bytes(rest_bytes), varint.to_bytes(len(found))]
    if found:
        told = repeats.table(found)
        head += [varint.to_bytes(len(told)), told]
    for window in windows:
        head.append(varint.to_bytes(window.size << _METHOD_BITS | window.method))
        head.append(varint.to_bytes(len(window.stream)))
    return b"".join([*head, *(window.stream for window in windows)])


class Layout(NamedTuple):
    """A body's parts, checked against one another. Nothing is decoded."""

    rest_bytes: int
    repeats: int
    table: bytes
    windows: list[Window]


def read_layout(body: bytes, payload_bytes: int) -> Layout:
    """Of a body for so many bytes. Raises CorruptBlob."""
    rest_bytes, at = varint.read(body, 0)
    count, at = varint.read(body, at)
    if not 0 < rest_bytes <= payload_bytes <= repeats.MAX_PAYLOAD_BYTES or (count == 0 and rest_bytes != payload_bytes):
        raise CorruptBlob(f"windows body: {rest_bytes} bytes and {count} repeats for {payload_bytes}")
    told = b""
    if count:
        length, at = varint.read(body, at)
        told = body[at : at + length]
        at += length
    sizes: list[tuple[int, int, int]] = []
    left = rest_bytes
    while left > 0:
        size, at = varint.read(body, at)
        size, method = size >> _METHOD_BITS, size & (1 << _METHOD_BITS) - 1
        length, at = varint.read(body, at)
        if method not in (_ZSTD, _COUNTS, _NETWORK, GOES_ON) or not 0 < size <= left:
            raise CorruptBlob(f"windows body: a window of {size} bytes by coder {method} where {left} are left")
        if method == GOES_ON and (not sizes or sizes[-1][0] == _ZSTD):
            raise CorruptBlob("windows body: counts go on where no tokens are")
        if method != _ZSTD and not size <= min(WINDOW_BYTES, DENSEST * length):
            raise CorruptBlob(f"windows body: a window of {size} bytes in {length}")
        sizes.append((method, size, length))
        left -= size
    ends = [*accumulate((length for _, _, length in sizes), initial=at)]
    if ends[-1] != len(body):
        raise CorruptBlob("windows body: its streams do not end where it does")
    windows = [
        Window(method, size, body[begin:end])
        for (method, size, _), (begin, end) in zip(sizes, pairwise(ends), strict=True)
    ]
    return Layout(rest_bytes, count, told, windows)


def described(body: bytes, payload_bytes: int) -> dict[str, Any]:
    """For `nbmf.inspect`: repeats, and the windows of each coder. Raises CorruptBlob."""
    layout = read_layout(body, payload_bytes)
    by = {}
    for coder in (NeuralCoder, CountsCoder, ZstdCoder):
        numbers = {coder.number, GOES_ON} if coder is CountsCoder else {coder.number}
        windows = [window for window in layout.windows if window.method in numbers]
        if windows:
            by[coder.name] = {
                "windows": len(windows),
                "payload_bytes": sum(window.size for window in windows),
                "body_bytes": sum(len(window.stream) for window in windows),
            }
    return {"repeats": layout.repeats, "repeated_bytes": payload_bytes - layout.rest_bytes, "by": by}
