"""Canonical bytes <-> bodies: each coder gives back what it took, or says what is wrong."""

import contextlib
import random
import struct
import zlib

import numpy as np
import pytest
import zstandard
from helpers import arrays, dictionary, record
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmf import Codec
from nbmf.arrays import to_bytes
from nbmf.coders import CODEC_FREE, NAMES, BytePlanesCoder, ZstdCoder, ZstdDictionaryCoder
from nbmf.coders.zstd import level_for
from nbmf.errors import CorruptBlob, DamagedCodec
from nbmf.payload import Kind

ZSTD = ZstdCoder()
PLANES = BytePlanesCoder()
SIZES = [1, 2, 3, 10, 255, 256, 257, 1023, 1024, 1025, 65_535, 65_536, 131_072, 131_073, 300_000, 5_000_000]


def _data(size, how):
    if how == "zeros":
        return bytes(size)
    if how == "random":
        return random.Random(size).randbytes(size)
    return (b"abc %d def, " % size * size)[:size]


def test_numbers_and_names():
    names = ["stored", "zstd", "zstd_dictionary", "byte_planes", "neural", "counts", "neural_segments", "spans"]
    assert (
        dict(enumerate([*names, "spans_learned", "windows"]))
        | {
            10: "vectors_learned",
            11: "deflate",
            12: "vectors",
            13: "floats",
            14: "neural",
            15: "counts",
        }
        == NAMES
    )
    assert [c.number for c in CODEC_FREE] == [1, 3, 11, 12, 13]


@pytest.mark.parametrize("how", ["zeros", "random", "text"])
@pytest.mark.parametrize("size", SIZES)
def test_zstd_of_many_sizes_and_no_other_size(size, how):
    data = _data(size, how)
    for coder in (ZSTD, ZstdDictionaryCoder({Kind.TEXT: dictionary()})):
        body = coder.encode(Kind.TEXT, data)
        assert coder.decode(Kind.TEXT, body, size) == data
        for wrong in {size - 1, size + 1, 0, size * 2, 2**40}:
            with pytest.raises(CorruptBlob):
                coder.decode(Kind.TEXT, body, wrong)


@settings(max_examples=50)
@given(st.binary(max_size=2000))
def test_a_body_is_the_blocks_of_a_standard_zstd_frame(data):
    """RFC 8878, as docs/format.md says it: magic number, a header that states the size, then the body."""
    body = ZSTD.encode(Kind.BYTES, data)
    window_log = max(10, (len(data) - 1).bit_length())
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([window_log - 10 << 3]) + body
    assert zstandard.ZstdDecompressor().decompress(frame, max_output_size=len(data) + 1) == data
    sized = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", len(data)) + body
    assert zstandard.ZstdDecompressor().decompress(sized) == data


def test_zstd_bodies_that_are_none():
    rng = random.Random(5)
    for size in (0, 1, 3, 20, 200):
        with pytest.raises(CorruptBlob):
            ZSTD.decode(Kind.TEXT, rng.randbytes(size), 100)
    body = ZSTD.encode(Kind.TEXT, b"hello" * 20)
    for damaged in (body[:-1], body + b"\x00", body + body, b"\x00" + body):
        with pytest.raises(CorruptBlob):
            ZSTD.decode(Kind.TEXT, damaged, 100)
    with pytest.raises(CorruptBlob):
        ZSTD.decode(Kind.TEXT, body, 0)
    assert ZSTD.decode(Kind.TEXT, ZSTD.encode(Kind.TEXT, b""), 0) == b""


def test_a_run_of_zeros_is_not_taken_for_a_bomb():
    """The densest body there is: 4 bytes a block of 128 KiB."""
    blocks = [bytes([3 if last else 2, 0, 0x10, 0x55]) for last in (False, False, True)]
    assert ZSTD.decode(Kind.BYTES, b"".join(blocks), 3 * 131_072) == b"\x55" * 3 * 131_072


def test_a_dictionary_helps_and_is_needed():
    coder = ZstdDictionaryCoder({Kind.TEXT: dictionary()})
    text = str(record(random.Random(99))).encode()
    body = coder.encode(Kind.TEXT, text)
    assert len(body) < 0.8 * len(ZSTD.encode(Kind.TEXT, text))
    assert coder.decode(Kind.TEXT, body, len(text)) == text
    with contextlib.suppress(CorruptBlob):
        assert ZSTD.decode(Kind.TEXT, body, len(text)) != text
    assert coder.encode(Kind.JSON, text) is None
    with pytest.raises(CorruptBlob, match="no dictionary for json"):
        coder.decode(Kind.JSON, body, len(text))


@pytest.mark.parametrize("content", [b"", b"only content, no header, is a dictionary too"])
def test_raw_content_dictionaries(content):
    coder = ZstdDictionaryCoder({Kind.TEXT: content})
    text = b"only content, no header, is a text too"
    assert coder.decode(Kind.TEXT, coder.encode(Kind.TEXT, text), len(text)) == text


@pytest.mark.parametrize("length", [8, 20, 100])
def test_a_damaged_dictionary_is_noticed_when_the_version_is_loaded(length):
    with pytest.raises(DamagedCodec, match="not a zstd dictionary"):
        ZstdDictionaryCoder({Kind.TEXT: dictionary()[:length]})


def test_levels():
    sizes = (0, 262_144, 262_145, 1_048_576, 1_048_577, 8_388_608, 8_388_609)
    assert [level_for(n) for n in sizes] == [19, 19, 17, 17, 12, 12, 6]


def _text_of(size):
    """What levels differ over: words that return, near and far."""
    rng = random.Random(size)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(2000)]
    return " ".join(rng.choices(words, k=size // 5)).encode()[:size]


LARGE = [pytest.param(size, marks=pytest.mark.slow) for size in (1_000_000, 5_000_000)]


@pytest.mark.parametrize("size", [1_000, 20_000, 150_000, 300_000, *LARGE])
@pytest.mark.parametrize("how", ["words", "history"])
def test_max_is_never_larger_than_any_level_of_zstd(size, how):
    """But for the blob's header and checksum: 4 bytes and the length, where zstd's frame has 6 to 12."""
    data = _text_of(size) if how == "words" else _text_of(size // 4 + 1) * 4
    blob = Codec().encode(data, effort="max")
    assert Codec().decode(blob) == data
    window_log = max(10, (len(data) - 1).bit_length())
    long = zstandard.ZstdCompressionParameters.from_level(22, window_log=window_log, enable_ldm=True)
    compressors = [zstandard.ZstdCompressor(compression_params=long)]
    compressors += [zstandard.ZstdCompressor(level=level) for level in (1, 9, 19, 22)]
    assert len(blob) <= min(len(compressor.compress(data)) for compressor in compressors) + 5
    assert len(blob) <= len(zlib.compress(data, 9)) + 35
    assert len(blob) <= min(len(Codec().encode(data, effort=effort)) for effort in ("auto", "fast"))


def test_max_with_a_dictionary_and_with_planes():
    smooth = np.cumsum(np.random.default_rng(4).normal(size=100_000)).astype("<f4")
    canonical = to_bytes(smooth)
    strongest = PLANES.strongest().encode(Kind.ARRAY, canonical)
    assert len(strongest) <= len(PLANES.encode(Kind.ARRAY, canonical))
    assert PLANES.decode(Kind.ARRAY, strongest, len(canonical)) == canonical
    coder = ZstdDictionaryCoder({Kind.TEXT: dictionary()})
    text = _text_of(300_000)
    strongest = coder.strongest().encode(Kind.TEXT, text)
    assert len(strongest) < len(coder.encode(Kind.TEXT, text))
    assert coder.decode(Kind.TEXT, strongest, len(text)) == text


@given(arrays())
def test_byte_planes(array):
    canonical = to_bytes(array)
    body = PLANES.encode(Kind.ARRAY, canonical)
    assert PLANES.decode(Kind.ARRAY, body, len(canonical)) == canonical


def test_byte_planes_by_hand():
    canonical = to_bytes(np.array([1.0, 2.0, -0.5], "<f2"))
    body = PLANES.encode(Kind.ARRAY, canonical)
    assert body[:2] == b"\x01\x10"
    numbers = canonical[1:]
    assert ZSTD.decode(Kind.ARRAY, body[2:], 6) == numbers[0::2] + numbers[1::2]


def test_byte_planes_pay():
    smooth = np.cumsum(np.random.default_rng(3).normal(size=500)).astype("<f4")
    canonical = to_bytes(smooth)
    assert len(PLANES.encode(Kind.ARRAY, canonical)) < len(ZSTD.encode(Kind.ARRAY, canonical))


def test_byte_planes_that_are_none():
    canonical = to_bytes(np.arange(12, dtype="<f4").reshape(3, 4))
    body = PLANES.encode(Kind.ARRAY, canonical)
    size = len(canonical)
    assert PLANES.encode(Kind.TEXT, canonical) is None
    for kind, damaged, length in (
        (Kind.TEXT, body, size),
        (Kind.ARRAY, b"", size),
        (Kind.ARRAY, b"\x00" + body[1:], size),
        (Kind.ARRAY, b"\xff" + body[1:], size),
        (Kind.ARRAY, body[:2], size),
        (Kind.ARRAY, body[:1] + b"\x23" + body[2:], size),
        (Kind.ARRAY, body, size - 1),
        (Kind.ARRAY, body, 2),
        (Kind.ARRAY, body, 0),
    ):
        with pytest.raises(CorruptBlob):
            PLANES.decode(kind, damaged, length)
