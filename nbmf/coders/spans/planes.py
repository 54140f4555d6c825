"""Binary data as planes (the first bytes of all items, then the second, ...), each plane by what makes it smallest.

Mantissas are noise, which stays as it is; signs and exponents of neighbours resemble each other.
"""

from __future__ import annotations

from nbmf import varint
from nbmf.coders import deflate
from nbmf.coders.planes import from_planes
from nbmf.coders.zstd import ZstdCoder
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

_RAW, _ZSTD, _DEFLATE, _ONE_BYTE = range(4)
_METHODS_A_BYTE = 4
_zstd = ZstdCoder()


def encode(data: bytes, width: int) -> bytes:
    """`data` is one or more items of `width` bytes each: two bits of method a plane, then the planes."""
    methods = bytearray(_method_bytes(width))
    bodies = []
    for index in range(width):
        method, body = _encode_plane(data[index::width])
        methods[index // _METHODS_A_BYTE] |= method << 2 * (index % _METHODS_A_BYTE)
        bodies.append(body)
    return bytes(methods) + b"".join(bodies)


def decode(body: bytes, at: int, width: int, items: int) -> tuple[bytes, int]:
    """(the data, offset behind it). Takes no more memory than that. Raises CorruptBlob."""
    methods = body[at : at + _method_bytes(width)]
    at += _method_bytes(width)
    if len(methods) < _method_bytes(width):
        raise CorruptBlob("spans body: truncated inside the methods of planes")
    if width % _METHODS_A_BYTE and methods[-1] >> 2 * (width % _METHODS_A_BYTE):
        raise CorruptBlob("spans body: methods of more planes than there are")
    planes = []
    for index in range(width):
        method = methods[index // _METHODS_A_BYTE] >> 2 * (index % _METHODS_A_BYTE) & 3
        plane, at = _decode_plane(body, at, method, items)
        planes.append(plane)
    return planes[0] if width == 1 else from_planes(b"".join(planes), width), at


def _method_bytes(width: int) -> int:
    return -(-width // _METHODS_A_BYTE)


def _encode_plane(plane: bytes) -> tuple[int, bytes]:
    if plane.count(plane[:1]) == len(plane):
        return _ONE_BYTE, plane[:1]
    packed = [(_ZSTD, _zstd.encode(Kind.BYTES, plane)), (_DEFLATE, deflate.compress(plane))]
    method, body = min(packed, key=lambda one: len(one[1]))
    body = varint.to_bytes(len(body)) + body
    return (method, body) if len(body) < len(plane) else (_RAW, plane)


def _decode_plane(body: bytes, at: int, method: int, items: int) -> tuple[bytes, int]:
    if method in (_ZSTD, _DEFLATE):
        length, at = varint.read(body, at)
    else:
        length = items if method == _RAW else 1
    held = body[at : at + length]
    if len(held) < length:
        raise CorruptBlob("spans body: truncated inside a plane")
    at += length
    if method == _ZSTD:
        return _zstd.decode(Kind.BYTES, held, items), at
    if method == _DEFLATE:
        return deflate.decompress(held, items), at
    return (held if method == _RAW else held * items), at
