"""The blob's byte layout, written out by hand."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmf import frame
from nbmf.errors import ChecksumMismatch, CorruptBlob, NotABlob, UnsupportedFormat
from nbmf.payload import Kind

ID = bytes(range(7, 39))


def _crc(data):
    return zlib.crc32(data).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("kind", "canonical", "first", "elided"),
    [
        (Kind.TEXT, b"abc", 0xB2, 0),
        (Kind.TEXT, b"\x11abc", 0xB2, 0),
        (Kind.MESSAGES, b'[{"role":"user","content":""}]', 0xB3, 0),
        (Kind.JSON, b"{}", 0xB4, 0),
        (Kind.BYTES, b"\x10\x11\x12", 0xB5, 0),
        (Kind.ARRAY, b"\x21\x01\x01\x00\x00\x80\x3f", 0xB6, 0),
        (Kind.ARRAY, b"\x10\x00\x3c", 0xB7, 1),
        (Kind.ARRAY, b"\x11\x00\x00\x80\x3f", 0xB8, 1),
        (Kind.ARRAY, b"\x12\x00\x00\x00\x00\x00\x00\xf0\x3f", 0xB9, 1),
    ],
)
def test_short_frames(kind, canonical, first, elided):
    blob = frame.pack_stored(kind, canonical)
    head = bytes([first])
    assert blob == head + canonical[elided:] + _crc(head + canonical)[:3]
    parsed = frame.parse(blob)
    assert (parsed.kind, parsed.coder, parsed.body, parsed.payload_bytes) == (kind, 0, canonical, len(canonical))
    assert (parsed.reference, parsed.fidelity) == (b"", "lossless")
    frame.verify(parsed, b"", canonical)


@pytest.mark.parametrize(
    ("kind", "first"), [(Kind.TEXT, 0xBC), (Kind.MESSAGES, 0xBD), (Kind.JSON, 0xBE), (Kind.BYTES, 0xBF)]
)
def test_short_deflate_frames(kind, first):
    canonical, body = bytes(300), b"whatever the coder wrote"
    blob = frame.pack_deflate(kind, canonical, body)
    head = bytes([first]) + b"\xac\x02"
    assert blob == head + body + _crc(head + canonical)[:3]
    assert frame.parse(blob) == frame.Frame(kind, 11, "lossless", b"", 300, body, head, blob[-3:])
    frame.verify(frame.parse(blob), b"", canonical)
    with pytest.raises(ChecksumMismatch):
        frame.verify(frame.parse(blob), b"", canonical[:-1] + b"\x01")
    for end in range(len(head) + 3):
        with pytest.raises(CorruptBlob):
            frame.parse(blob[:end])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("coder", [1, 2, 3])
@pytest.mark.parametrize("fidelity", ["lossless", "semantic"])
def test_full_frames(kind, coder, fidelity):
    reference, seed = (ID[:2], ID) if coder == 2 else (b"", b"")
    canonical, body = bytes(300), b"whatever the coder wrote"
    blob = frame.pack_full(kind, coder, fidelity, reference, seed, canonical, body)
    flags = coder + 16 * kind + (128 if fidelity == "semantic" else 0)
    head = bytes([0xB1, flags]) + reference + b"\xac\x02"
    assert blob == head + body + _crc(seed + head + canonical)
    parsed = frame.parse(blob)
    assert parsed == frame.Frame(kind, coder, fidelity, reference, 300, body, head, blob[-4:])
    frame.verify(parsed, seed, canonical)
    with pytest.raises(ChecksumMismatch):
        frame.verify(parsed, ID[::-1], canonical)
    with pytest.raises(ChecksumMismatch):
        frame.verify(parsed, seed, canonical[:-1] + b"\x01")


COMPACT = {  # coder -> first byte of a text
    4: 0x80,
    5: 0x84,
    6: 0x88,
    9: 0x8C,
    8: 0x90,
    2: 0x94,
    1: 0x98,
    7: 0x9C,
}
ALONE = {14: 0xA8, 15: 0xAC}
WITH_REFERENCE = (2, 4, 5, 6, 8, 9, 10, 14, 15)
FROM_256_TO_511 = b"\x60"  # begins a stream of that class


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.MESSAGES, Kind.JSON, Kind.BYTES])
@pytest.mark.parametrize("coder", COMPACT)
def test_compact_frames_with_length_are_read(kind, coder):
    """They were written once."""
    reference, seed = (ID[:2], ID) if coder in WITH_REFERENCE else (b"", b"")
    canonical, body = bytes(300), b"whatever the coder wrote"
    head = bytes([COMPACT[coder] + kind]) + reference + b"\xac\x02"
    blob = head + body + _crc(seed + head + canonical)[:3]
    if kind is Kind.BYTES and coder in (7, 8):
        with pytest.raises(UnsupportedFormat):
            frame.parse(blob)
        return
    parsed = frame.parse(blob)
    assert parsed == frame.Frame(kind, coder, "lossless", reference, 300, body, head, blob[-3:])
    frame.verify(parsed, seed, canonical)
    for other_seed, other in ((ID[::-1], canonical), (seed, canonical[:-1] + b"\x01")):
        with pytest.raises(ChecksumMismatch):
            frame.verify(parsed, other_seed, other)
    for end in range(len(head) + 3):
        with pytest.raises(CorruptBlob):
            frame.parse(blob[:end])


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.MESSAGES, Kind.JSON, Kind.BYTES])
@pytest.mark.parametrize("coder", ALONE)
def test_compact_frames(kind, coder):
    canonical, body = bytes(300), FROM_256_TO_511 + b"whatever the coder wrote"
    blob = frame.pack(kind, coder, "lossless", ID[:2], ID, canonical, body)
    head = bytes([ALONE[coder] + kind]) + ID[:2]
    assert blob == head + body + _crc(ID + head + canonical)
    parsed = frame.parse(blob)
    _check_size(parsed)
    assert replace(parsed, payload_bytes=300) == frame.Frame(
        kind, coder, "lossless", ID[:2], 300, body, head, blob[-4:]
    )
    frame.verify(parsed, ID, canonical)
    for other_seed, other in ((ID[::-1], canonical), (ID, canonical[:-1] + b"\x01")):
        with pytest.raises(ChecksumMismatch):
            frame.verify(parsed, other_seed, other)
    for end in range(len(head) + 4):
        with pytest.raises(CorruptBlob):
            frame.parse(blob[:end])


def _check_size(parsed):
    """Of that class."""
    if parsed.kind in (Kind.JSON, Kind.MESSAGES):
        assert (parsed.least_bytes, parsed.payload_bytes) == (256, 511)
    else:
        assert 256 <= parsed.least_bytes == parsed.payload_bytes <= 511


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.MESSAGES, Kind.JSON, Kind.BYTES])
@pytest.mark.parametrize("coder", ALONE)
@pytest.mark.parametrize("number", range(len(frame.NUMBERED_VERSIONS)))
def test_frames_of_numbered_versions(kind, coder, number):
    seed, canonical, body = frame.NUMBERED_VERSIONS[number], bytes(300), FROM_256_TO_511 + b"what the coder wrote"
    blob = frame.pack(kind, coder, "lossless", seed[:2], seed, canonical, body)
    head = bytes([0xA0 + 8 * number + 4 * (coder == 15) + kind])
    assert blob == head + body + _crc(seed + head + canonical)
    parsed = frame.parse(blob)
    _check_size(parsed)
    assert replace(parsed, payload_bytes=300) == frame.Frame(
        kind, coder, "lossless", seed[:2], 300, body, head, blob[-4:]
    )
    frame.verify(parsed, seed, canonical)
    with pytest.raises(ChecksumMismatch):
        frame.verify(parsed, ID, canonical)
    for end in range(5):
        with pytest.raises(CorruptBlob):
            frame.parse(blob[:end])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("coder", [*range(1, 11), 12, 13])
def test_other_blobs_get_full_frames(kind, coder):
    """Those with length too, which had compact ones."""
    parts = (ID[:2] if coder in WITH_REFERENCE else b"", ID, bytes(300), b"body")
    for fidelity in ("semantic", "lossless"):
        assert frame.pack(kind, coder, fidelity, *parts) == frame.pack_full(kind, coder, fidelity, *parts)


@pytest.mark.parametrize("pack", [frame.pack, frame.pack_full])
@given(st.sampled_from(Kind), st.sampled_from([1, 2, 3]), st.binary(max_size=300), st.binary(max_size=40))
def test_every_truncation_of_a_header_is_typed(pack, kind, coder, canonical, body):
    reference = ID[:2] if coder == 2 else b""
    blob = pack(kind, coder, "lossless", reference, ID if reference else b"", canonical, body)
    for end in range(len(blob) - len(body)):
        with pytest.raises(CorruptBlob):
            frame.parse(blob[:end])


@pytest.mark.parametrize("first", range(256))
def test_every_first_byte(first):
    blob = bytes([first]) + b"\x01\x05hello" + bytes(8)
    compact = 0x80 <= first <= 0x9F and first not in (0x93, 0x9F)
    compact = compact or 0xA0 <= first <= 0xAF
    if compact or 0xB1 <= first <= 0xB9 or 0xBC <= first <= 0xBF:
        frame.parse(blob)
    elif 0x80 <= first <= 0xBF:
        with pytest.raises(UnsupportedFormat, match=f"{first:#04x}"):
            frame.parse(blob)
    else:
        with pytest.raises(NotABlob, match=f"{first:#04x}"):
            frame.parse(blob)


@pytest.mark.parametrize("flags", range(256))
def test_every_flags_byte(flags):
    blob = bytes([0xB1, flags]) + b"\xaa\xbb\x05" + bytes(20)
    coder, kind, semantic = flags % 16, flags // 16 % 8, flags // 128
    if coder in {*range(1, 11), 12, 13} and kind < 5:
        parsed = frame.parse(blob)
        assert (parsed.coder, parsed.kind, parsed.fidelity == "semantic") == (coder, kind, bool(semantic))
        assert parsed.reference == (b"\xaa\xbb" if coder in WITH_REFERENCE else b"")
    else:
        with pytest.raises(UnsupportedFormat, match=f"coder {coder} or kind {kind}"):
            frame.parse(blob)


@pytest.mark.parametrize("first", [*range(0xB2, 0xBA), *range(0xBC, 0xC0)])
def test_truncated_short_frames(first):
    for blob in (b"", *(bytes([first]) + bytes(n) for n in range(3))):
        with pytest.raises(CorruptBlob):
            frame.parse(blob)


def test_no_first_byte_begins_anything_else():
    """Text, JSON, zlib, zstd and gzip streams are told from blobs by their first byte."""
    import gzip

    import zstandard

    ours = {
        0xB1,
        *frame._SHORT_FRAMES,
        *frame._SHORT_DEFLATE_FRAMES,
        *frame._COMPACT_FRAMES,
        *frame._ALONE_FRAMES,
        *frame._OF_NUMBERED,
    }
    assert not ours & {zlib.compress(b"x", level, wbits)[0] for level in range(10) for wbits in range(9, 16)}
    assert not ours & {zstandard.compress(b"x")[0], gzip.compress(b"x")[0]}
    assert not ours & {chr(c).encode("utf-8", "surrogatepass")[0] for c in range(0x110000)}


def test_arrays_pick_the_shortest_frame():
    for dtype, first in (("<f2", 0xB7), ("<f4", 0xB8), ("<f8", 0xB9)):
        from nbmf.arrays import to_bytes

        vector = np.arange(5, dtype=dtype)
        assert frame.pack_stored(Kind.ARRAY, to_bytes(vector))[0] == first
        assert frame.pack_stored(Kind.ARRAY, to_bytes(vector.reshape(1, 5)))[0] == 0xB6
