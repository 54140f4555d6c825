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
Compress: TypeAlias = Callable[[bytes], bytes]
Decompress: TypeAlias = Callable[[bytes, int], bytes]
"""From what was compressed and how many bytes it was."""

ZSTD, BROTLI = "zstd-19", "brotli-11"
ZSTD_WITH_DICTIONARY, PRIMED_PPMD = "zstd-19+dict", "PPMd-6 primed"

DICTIONARY_BYTES = 112_640
PRIME_BYTES = 1 << 20
_MAX_DICTIONARY_SAMPLES = 12_000
PPMD_ORDER, PPMD_MEMORY_BYTES = 6, 64 << 20
_XZ_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]


def peers(training: Sequence[bytes]) -> dict[str, Sizes]:
    """Name -> sizes of records. Without training records, those that learn from them are left out."""
    result: dict[str, Sizes] = {
        "zlib-9": _each(lambda data: zlib.compress(data, 9)),
        ZSTD: _each(lambda data: zstandard.ZstdCompressor(level=19).compress(data)),
        BROTLI: _each(lambda data: brotli.compress(data, quality=11)),
        "xz-9e": _each(lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=_XZ_FILTERS)),
    }
    if training:
        samples = learning_samples(training)
        result[ZSTD_WITH_DICTIONARY] = _each(zstd_with_dictionary(samples)[0])
        result[PRIMED_PPMD] = primed_ppmd(prime(samples))
    return result


def learning_samples(training: Sequence[bytes]) -> list[bytes]:
    """The training records that dictionaries and primes are taken from, in an order of their own."""
    shuffled = list(training)
    random.Random(0).shuffle(shuffled)
    return shuffled[:_MAX_DICTIONARY_SAMPLES]


def prime(samples: Sequence[bytes]) -> bytes:
    """What PPMd reads before a record."""
    return b"".join(samples)[:PRIME_BYTES]


def _each(compress: Compress) -> Sizes:
    return lambda records: [len(compress(record)) for record in records]


def zstd_with_dictionary(samples: Sequence[bytes]) -> tuple[Compress, Decompress]:
    """zstd -19 with a dictionary trained on the samples, and nothing in the frame that a container holds anyway."""
    dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, [*samples])
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, write_content_size=False, write_checksum=False, write_dict_id=False
    )
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary)
    return compressor.compress, lambda blob, size: decompressor.decompress(blob, max_output_size=size)


def primed_ppmd(prime_bytes: bytes) -> Sizes:
    """One fork a record: the child inherits the primed model, codes its record and reports the size."""

    def sizes(records: Sequence[bytes]) -> list[int]:
        encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, PPMD_MEMORY_BYTES)
        encoder.encode(prime_bytes)

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
