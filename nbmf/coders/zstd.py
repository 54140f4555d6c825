"""Zstandard (RFC 8878) without what the blob's own frame says already.

A body is a zstd frame less its magic number and its frame header, so it is blocks only: it has no
length of its own to lie about. The reader puts a header in front that says Single_Segment and, as
Frame_Content_Size, the payload's length: no window is allocated and no other length can come out.

Compression contexts are not thread-safe, so each thread keeps its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from copy import copy
from typing import Any, ClassVar

import zstandard

from nbmf.coders.base import OneByOne
from nbmf.errors import CorruptBlob, DamagedCodec
from nbmf.payload import Kind

# (largest payload in bytes, level): about 0.4 µs a byte up to 1 MiB, 0.1 up to 8 MiB, 0.03 above.
_LEVELS = ((256 * 1024, 19), (1024 * 1024, 17), (8 * 1024 * 1024, 12))
_LEVEL_ABOVE = 6
_STRONGEST_LEVELS = 19, 22
_LONG_ABOVE = 256 * 1024  # what long-distance matching takes to find anything that the strongest levels do not
_LONGEST_WINDOW_LOG = 27  # levels' own tables grow with it: 2 GB at the limit of the format
_WRITTEN_HEADER_BYTES = 2  # descriptor and window; content size, dictionary id and checksum are switched off
_BLOCK_BYTES = 128 * 1024
_SMALLEST_BLOCK = 4  # 3 bytes of header and the byte that a run repeats
_NO_BYTES = b"\x01\x00\x00"  # last block, raw, of 0 bytes
_ONE_BYTE = b"\x09\x00\x00x"


def level_for(payload_bytes: int) -> int:
    """The compression level for a payload of that size, unless the strongest is asked for."""
    return next((level for limit, level in _LEVELS if payload_bytes <= limit), _LEVEL_ABOVE)


def _header(payload_bytes: int) -> bytes:
    """Frame_Header_Descriptor with an 8-byte Frame_Content_Size and Single_Segment (RFC 8878, 3.1.1.1)."""
    return b"\xe0" + payload_bytes.to_bytes(8, "little")


class _Zstd:
    """One dictionary (or none) with a compressor for each level and a decompressor, per thread."""

    def __init__(self, dictionary: bytes | None) -> None:
        self._dictionary = zstandard.ZstdCompressionDict(dictionary) if dictionary is not None else None
        self._local = threading.local()
        if dictionary is not None:
            try:
                self.decompress(_ONE_BYTE, 1)
            except (CorruptBlob, zstandard.ZstdError) as error:
                raise DamagedCodec(f"not a zstd dictionary: {error}") from error

    def __reduce__(self) -> tuple[type[_Zstd], tuple[bytes | None]]:
        return _Zstd, (self._dictionary.as_bytes() if self._dictionary is not None else None,)

    def compress(self, data: bytes, *, strongest: bool = False) -> bytes:
        if strongest:
            return min(self._strongest(data), key=len)
        level = level_for(len(data))
        compressors: dict[int, zstandard.ZstdCompressor] = self._local.__dict__.setdefault("compressors", {})
        if level not in compressors:
            compressors[level] = self._compressor(level)
        return compressors[level].compress(data)[_WRITTEN_HEADER_BYTES:]

    def _strongest(self, data: bytes) -> Iterator[bytes]:
        """By the strongest levels, as set for any size and for this one; of large data, with a window for it all."""
        ways: list[dict[str, Any]] = [{}, {"source_size": len(data)}]
        if len(data) > _LONG_ABOVE:
            window_log = min((len(data) - 1).bit_length(), _LONGEST_WINDOW_LOG)
            ways = [{}, {"window_log": window_log, "enable_ldm": True}]
        for level in _STRONGEST_LEVELS:
            for way in ways:
                yield self._compressor(level, **way).compress(data)[_WRITTEN_HEADER_BYTES:]

    def _compressor(self, level: int, **parameters: Any) -> zstandard.ZstdCompressor:
        written = zstandard.ZstdCompressionParameters.from_level(
            level,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_content_size=False,
            write_dict_id=False,
            write_checksum=False,
            **parameters,
        )
        return zstandard.ZstdCompressor(dict_data=self._dictionary, compression_params=written)

    def decompress(self, body: bytes, payload_bytes: int) -> bytes:
        # Before the output is allocated: a body of n bytes cannot hold more than this.
        if payload_bytes > len(body) // _SMALLEST_BLOCK * _BLOCK_BYTES or (payload_bytes == 0 and body != _NO_BYTES):
            raise CorruptBlob(f"zstd body of {len(body)} bytes cannot hold the {payload_bytes} that the blob says")
        if payload_bytes == 0:
            return b""
        if "decompressor" not in self._local.__dict__:
            self._local.decompressor = zstandard.ZstdDecompressor(
                dict_data=self._dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS
            )
        decompressor: zstandard.ZstdDecompressor = self._local.decompressor
        try:
            data = decompressor.decompress(_header(payload_bytes) + body, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise CorruptBlob(f"zstd body: {error}") from error
        if len(data) != payload_bytes:
            raise CorruptBlob(f"zstd body holds {len(data)} bytes, the blob says {payload_bytes}")
        return data


class ZstdCoder(OneByOne):
    """zstd without a dictionary."""

    number: ClassVar[int] = 1
    name: ClassVar[str] = "zstd"

    def __init__(self) -> None:
        self._zstd = _Zstd(None)
        self._is_strongest = False

    def strongest(self) -> ZstdCoder:
        coder = copy(self)
        coder._is_strongest = True
        return coder

    def encode(self, kind: Kind, canonical: bytes) -> bytes:
        return self._zstd.compress(canonical, strongest=self._is_strongest)

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        return self._zstd.decompress(body, payload_bytes)


class ZstdDictionaryCoder(OneByOne):
    """zstd with the codec version's trained dictionary for the payload's kind."""

    number: ClassVar[int] = 2
    name: ClassVar[str] = "zstd_dictionary"

    def __init__(self, dictionaries: dict[Kind, bytes]) -> None:
        self._zstd = {kind: _Zstd(dictionary) for kind, dictionary in dictionaries.items()}
        self._is_strongest = False

    def strongest(self) -> ZstdDictionaryCoder:
        coder = copy(self)
        coder._is_strongest = True
        return coder

    def encode(self, kind: Kind, canonical: bytes) -> bytes | None:
        zstd = self._zstd.get(kind)
        return zstd.compress(canonical, strongest=self._is_strongest) if zstd else None

    def decode(self, kind: Kind, body: bytes, payload_bytes: int) -> bytes:
        zstd = self._zstd.get(kind)
        if zstd is None:
            raise CorruptBlob(f"the codec version has no dictionary for {kind.label}")
        return zstd.decompress(body, payload_bytes)
