"""Damaged blobs: a typed error or the right payload; never another payload, another exception, or much memory."""

import contextlib
import random
import subprocess
import sys
import time
import tracemalloc
import zlib

import pytest
from helpers import blob_with, coders_of, same, sample_payloads

import nbmf
from nbmf import errors, frame, stub, varint
from nbmf.coders import BytePlanesCoder, ZstdCoder
from nbmf.payload import Kind, to_canonical

COMPACT = [first for first in range(0x80, 0xA0) if first not in (0x93, 0x9F)]
FIRST_BYTES = [*COMPACT, *range(0xA0, 0xB0), *range(0xB1, 0xBA), *range(0xBC, 0xC0)]


@pytest.fixture(scope="module")
def blobs(codec):
    """(blob, payload) of every kind by every coder, in compact and full frames, lossless and semantic."""
    out = []
    for value in sample_payloads():
        kind, canonical = to_canonical(value)
        for coder in coders_of(kind, canonical):
            blob = blob_with(kind, coder, canonical, codec)
            out.append((blob, value))
            if blob[0] in COMPACT:
                out.append((blob_with(kind, coder, canonical, codec, full=True), value))
        out.append((blob_with(kind, "zstd", canonical, fidelity="semantic"), value))
    return out


class _Judge:
    """Decodes damaged blobs and counts what became of them."""

    def __init__(self, codec):
        self.codec = codec
        self.refused = 0
        self.right = 0

    def __call__(self, damaged, *allowed):
        try:
            value = nbmf.decode(damaged, codec=self.codec)
        except errors.NbmfError:
            self.refused += 1
        else:
            assert any(same(value, a) for a in allowed), f"{damaged.hex()} decodes to another payload: {value!r}"
            self.right += 1
        with contextlib.suppress(errors.BlobError):
            nbmf.inspect(damaged)


def test_every_truncation_and_every_flipped_bit(blobs, codec, fresh_default_catalog):
    judge = _Judge(codec)
    for blob, value in blobs:
        if len(blob) > 260:
            continue
        parsed = frame.parse(blob)
        body = range(len(parsed.head), len(blob) - len(parsed.checksum))
        for end in range(len(blob)):
            judge(blob[:end])
        for bit in range(len(blob) * 8):
            damaged = bytearray(blob)
            damaged[bit // 8] ^= 1 << bit % 8
            # Only bodies have unused bits, but not those of stored frames.
            judge(bytes(damaged), *([value] if bit // 8 in body and parsed.coder != frame.STORED else []))
    assert judge.refused > 60_000
    assert judge.right < 400  # bits that a zstd body does not use


def _flip_bytes(rng, blob):
    damaged = bytearray(blob)
    for _ in range(rng.choice([1, 1, 2, 8])):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def _insert(rng, blob):
    at = rng.randrange(len(blob) + 1)
    return blob[:at] + rng.randbytes(rng.choice([1, 1, 2, 5])) + blob[at:]


def _delete(rng, blob):
    at = rng.randrange(len(blob))
    return blob[:at] + blob[at + rng.choice([1, 1, 2, 5]) :]


def _truncate(rng, blob):
    return blob[: rng.randrange(len(blob))]


def _duplicate(rng, blob):
    at, end = sorted(rng.randrange(len(blob) + 1) for _ in range(2))
    return blob[:end] + blob[at:]


def _swap_within(rng, blob):
    damaged = bytearray(blob)
    i, j = rng.randrange(len(blob)), rng.randrange(len(blob))
    damaged[i], damaged[j] = damaged[j], damaged[i]
    return bytes(damaged)


def _edit_header(rng, blob):
    """Another first byte, other flags, another reference, another length, the rest as it was."""
    parsed = frame.parse(blob)
    if blob[0] != frame.MAGIC and (blob[0] not in COMPACT or rng.randrange(2)):
        return bytes([rng.choice(FIRST_BYTES)]) + blob[1:]
    rest = blob[len(parsed.head) :]
    kind, coder, semantic, reference = parsed.kind, parsed.coder, parsed.fidelity == "semantic", parsed.reference
    length = parsed.payload_bytes
    match rng.randrange(5):
        case 0:
            kind = rng.randrange(8)
        case 1:
            coder = rng.randrange(16)
        case 2:
            semantic = not semantic
        case 3:
            reference = rng.randbytes(2)
        case 4:
            length = rng.choice([length + 1, max(length - 1, 0), 0, length * 2, 60_000_000, 2**40, 2**56 - 1])
    if blob[0] in COMPACT and (coder, kind, semantic) == (parsed.coder, parsed.kind, False):
        return blob[:1] + reference + varint.to_bytes(length) + rest
    return bytes([frame.MAGIC, coder | kind << 4 | semantic << 7]) + reference + varint.to_bytes(length) + rest


@pytest.mark.parametrize(
    "damage",
    [_flip_bytes, _insert, _delete, _truncate, _duplicate, _swap_within, _edit_header],
    ids=lambda f: f.__name__,
)
def test_2500_damaged_blobs_of_each_sort(blobs, codec, fresh_default_catalog, damage):
    rng = random.Random(damage.__name__)
    judge = _Judge(codec)
    tried = 0
    while tried < 2_500:
        blob, value = blobs[tried % len(blobs)]
        damaged = damage(rng, blob)
        if damaged != blob:
            judge(damaged, value)
        tried += 1
    assert judge.refused > 2_000


def test_2500_blobs_joined_from_two(blobs, codec, fresh_default_catalog):
    rng = random.Random(11)
    judge = _Judge(codec)
    for _ in range(2_500):
        (one, value), (other, other_value) = rng.sample(blobs, 2)
        how = rng.randrange(3)
        if how == 0:  # the head of one, the tail of another
            damaged = one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]
        elif how == 1:  # the checksum of another
            kept = rng.choice([3, 4])
            damaged = one[:-kept] + other[-kept:]
        else:  # the body of another
            head = len(frame.parse(one).head)
            damaged = one[:head] + frame.parse(other).body + frame.parse(one).checksum
        judge(damaged, value, other_value)
    assert judge.refused > 2_000


@pytest.mark.parametrize("times", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_noise_behind_a_known_first_byte(codec, fresh_default_catalog, times):
    rng = random.Random(12)
    judge = _Judge(codec)
    for first in FIRST_BYTES:
        for _ in range(times):
            judge(bytes([first]) + rng.randbytes(rng.choice([0, 1, 3, 4, 8, 20, 100, 1000])))
    for _ in range(500):  # full frames whose header is sound
        flags = rng.choice([1, 2, 3]) | rng.randrange(5) << 4
        reference = codec.reference if flags & 15 == 2 else b""
        judge(bytes([0xB1, flags]) + reference + varint.to_bytes(rng.randrange(300)) + rng.randbytes(50))
    for first in COMPACT:  # compact ones
        reference = codec.reference if frame.parse(bytes([first]) + bytes(9)).reference else b""
        for _ in range(100):
            judge(bytes([first]) + reference + varint.to_bytes(rng.randrange(300)) + rng.randbytes(50))
    assert (judge.refused, judge.right) == (times * len(FIRST_BYTES) + 500 + 100 * len(COMPACT), 0)


def test_bodies_of_noise_under_a_true_checksum_of_something_else(blobs):
    """Whoever writes a blob can make its checksum fit: still only typed errors or a payload of that kind."""
    rng = random.Random(13)
    outcomes = {"payload": 0, "error": 0}
    for _ in range(3_000):
        kind = rng.choice(list(Kind))
        blob, _ = rng.choice(blobs)
        body = frame.parse(blob).body
        canonical = rng.choice(
            [rng.randbytes(rng.randrange(20)), _flip_bytes(rng, body + b"]"), body[: rng.randrange(9)]]
        )
        for crafted in (frame.pack_stored(kind, canonical), blob_with(kind, "zstd", canonical)):
            try:
                value = nbmf.decode(crafted)
            except errors.NbmfError:
                outcomes["error"] += 1
            else:
                outcomes["payload"] += 1
                assert same(nbmf.decode(nbmf.encode(value)), value)
    assert min(outcomes.values()) > 300


# --- bombs ------------------------------------------------------------------------------------------------------


def _peak(function):
    """(the error raised, peak of Python's allocations in bytes, seconds)."""
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(errors.NbmfError) as raised:
            function()
        return raised.value, tracemalloc.get_traced_memory()[1], time.perf_counter() - begun
    finally:
        tracemalloc.stop()


def _full(kind, coder, declared, body, canonical=None):
    head = bytes([0xB1, coder | kind << 4]) + varint.to_bytes(declared)
    return head + body + (zlib.crc32(head + (canonical or b""))).to_bytes(4, "little")


ZEROS_60MB = ZstdCoder().encode(Kind.BYTES, bytes(60_000_000))


@pytest.mark.parametrize("declared", [64 * 2**20 + 1, 2**32, 2**40, 2**56 - 1])
@pytest.mark.parametrize("coder", [1, 3])
def test_over_the_bound_nothing_is_spent(declared, coder):
    blob = _full(Kind.ARRAY, coder, declared, b"\x01\x11" + ZEROS_60MB)
    error, peak, _ = _peak(lambda: nbmf.decode(blob))
    assert type(error) is errors.OutputTooLarge
    assert peak < 50_000
    assert nbmf.inspect(blob).payload_bytes == declared


@pytest.mark.parametrize("coder", [1, 3])
def test_a_kilobyte_that_declares_60_megabytes(coder):
    """More than a body of its length can hold: refused before the output is allocated."""
    noise = random.Random(1).randbytes(1000)
    blob = _full(Kind.ARRAY, coder, 60_000_001, b"\x01\x11" + noise)
    error, peak, _ = _peak(lambda: nbmf.decode(blob))
    assert type(error) is errors.CorruptBlob
    assert "cannot hold" in str(error)
    assert peak < 50_000


def test_a_body_that_holds_more_than_it_declares():
    """60 MB of zeros in under 2 KB: nothing beyond the declared length is written."""
    assert len(ZEROS_60MB) < 2_000
    for declared in (0, 1, 100, 131_072, 1_000_000):
        blob = _full(Kind.BYTES, 1, declared, ZEROS_60MB)
        error, peak, _ = _peak(lambda blob=blob: nbmf.decode(blob))
        assert type(error) is errors.CorruptBlob
        assert peak < declared + 50_000


def test_what_a_declared_length_really_costs():
    """Where the body is long enough that 60 MB could be in it, the buffer is reserved but its pages are not touched."""
    script = """
import os, random, resource, nbmf
from nbmf import varint
blob = bytes([0xB1, 0x31]) + varint.to_bytes(60_000_000) + random.Random(2).randbytes(4000)
nbmf.decode(nbmf.encode(b"warm" * 500))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(20):
    try:
        nbmf.decode(blob)
    except nbmf.errors.CorruptBlob:
        continue
    raise SystemExit("decoded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 8_000_000


@pytest.mark.parametrize("text", [b"[" * 4_000_000, b'{"a":' * 800_000, b"[[" * 2_000_000], ids=["[", '{"a":', "[["])
def test_nesting_bombs(text):
    """An open list takes 15 times the memory of its bracket, so depth is bounded as when writing."""
    blob = blob_with(Kind.JSON, "zstd", text)
    assert len(blob) < 6_000
    error, peak, _ = _peak(lambda: nbmf.decode(blob))
    assert type(error) is errors.CorruptBlob
    assert peak < 5 * len(text)


def test_integer_bombs():
    text = b"[" + b"1" * 3_000_000 + b"]"
    error, _, seconds = _peak(lambda: nbmf.decode(blob_with(Kind.JSON, "zstd", text)))
    assert type(error) is errors.CorruptBlob
    assert seconds < 5


def test_array_headers_that_multiply_to_huge_shapes():
    for sizes in ([2**40, 2**40], [2**48] * 8, [0, 2**48, 2**48, 2**48]):
        canonical = bytes([1 | len(sizes) << 4]) + b"".join(map(varint.to_bytes, sizes))
        error, peak, _ = _peak(lambda c=canonical: nbmf.decode(frame.pack_stored(Kind.ARRAY, c)))
        assert type(error) is errors.CorruptBlob
        assert peak < 50_000


def test_stub_bombs():
    bomb = {"meta": {"fidelity": "lossless"}, "code": zlib.compress(b" " * 50_000_000, 9).hex(), "sig": ""}
    error, peak, _ = _peak(lambda: stub.decode(bomb, max_output_bytes=1_000_000))
    assert isinstance(error, errors.DamagedStubBlob)
    assert peak < 4_000_000


def test_byte_planes_hold_what_they_declare_only():
    planes = BytePlanesCoder()
    body = b"\x01\x11" + ZEROS_60MB
    with pytest.raises(errors.CorruptBlob):
        planes.decode(Kind.ARRAY, body, 1_001)
