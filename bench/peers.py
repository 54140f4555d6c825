"""General-purpose codecs to compare with, each coding one record alone. Sizes in bytes.

Those with a prime or dictionary get it from training records: zstd a trained dictionary, PPMd
(order 6) 1 MB of text that it has read before the record. PPMd is idealised: only the bytes that
the record adds are counted, and no frame, length or checksum.
"""

from __future__ import annotations

import lzma
import os
import random
import zlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import brotli
import pyppmd
import zstandard

Sizes: TypeAlias = Callable[[Sequence[bytes]], list[int]]

DICTIONARY_BYTES = 112_640
PRIME_BYTES = 1 << 20
_MAX_DICTIONARY_SAMPLES = 12_000
_PPMD_ORDER, _PPMD_MEMORY_BYTES = 6, 64 << 20
_XZ_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


def peers(training: Sequence[bytes]) -> dict[str, Sizes]:
    """Name -> sizes of records. Without training records, those that learn from them are left out."""
    result: dict[str, Sizes] = {
        "zlib-9": _each(lambda data: len(zlib.compress(data, 9))),
        "zstd-19": _each(lambda data: len(zstandard.ZstdCompressor(level=19).compress(data))),
        "brotli-11": _each(lambda data: len(brotli.compress(data, quality=11))),
        "xz-9e": _each(lambda data: len(lzma.compress(data, lzma.FORMAT_RAW, filters=_XZ_FILTERS))),
    }
    if training:
        shuffled = list(training)
        random.Random(0).shuffle(shuffled)
        result["zstd-19+dict"] = _zstd_with_dictionary(shuffled[:_MAX_DICTIONARY_SAMPLES])
        result["PPMd-6 primed"] = _primed_ppmd(b"".join(shuffled[:_MAX_DICTIONARY_SAMPLES])[:PRIME_BYTES])
    return result


def _each(size: Callable[[bytes], int]) -> Sizes:
    return lambda records: [size(record) for record in records]


def _zstd_with_dictionary(samples: list[bytes]) -> Sizes:
    dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, [*samples])
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, write_content_size=False, write_checksum=False, write_dict_id=False
    )
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
    return _each(lambda data: len(compressor.compress(data)))


def _primed_ppmd(prime: bytes) -> Sizes:
    """One fork a record: the child inherits the primed model, codes its record and reports the size."""

    def sizes(records: Sequence[bytes]) -> list[int]:
        encoder = pyppmd.Ppmd7Encoder(_PPMD_ORDER, _PPMD_MEMORY_BYTES)
        encoder.encode(prime)

        def in_child(record: bytes) -> int:
            read_end, write_end = os.pipe()
            if os.fork() == 0:
                size = len(encoder.encode(record)) if record else 0
                os.write(write_end, str(size + len(encoder.flush())).encode())
                os._exit(0)
            os.close(write_end)
            with os.fdopen(read_end) as pipe:
                size = int(pipe.read())
            os.wait()
            return size

        alone = in_child(b"")
        return [in_child(record) - alone for record in records]

    return sizes
