"""Floats without loss, smaller than byte planes make them."""

import random

import ml_dtypes
import numpy as np
import pytest
from helpers import same
from hypothesis import given, settings
from hypothesis import strategies as st

import nbmf
from nbmf import _core, arrays, frame
from nbmf.codec import WITHOUT_VERSION as CODEC
from nbmf.coders import BytePlanesCoder, FloatsCoder
from nbmf.coders.floats import MOST_NUMBERS
from nbmf.errors import BlobError, CorruptBlob, UnknownCodec
from nbmf.payload import Kind, to_canonical

FLOATS = FloatsCoder()
RNG = np.random.default_rng(4)
EMBEDDING = RNG.normal(size=384) / np.sqrt(384)
SIZES = {"<f2": (2, 5), "<f4": (4, 8), "<f8": (8, 11)}


def _body(array):
    kind, canonical = to_canonical(array)
    body = FLOATS.encode(kind, canonical)
    assert FLOATS.decode(kind, body, len(canonical)) == canonical
    return body


@pytest.mark.parametrize(
    ("array", "most"),
    [
        # sign, mantissa, and 2.46 bits for the exponent of a normal distribution's number: 1,270 bytes
        (EMBEDDING.astype("<f4"), 1290),
        (EMBEDDING.astype("<f4").astype("<f8"), 1291),
        (EMBEDDING.astype("<f4").astype(">f4"), 1290),
        (EMBEDDING.astype("<f2"), 665),
        (EMBEDDING.astype(ml_dtypes.bfloat16), 524),
        (EMBEDDING.astype("<f4").reshape(16, 24), 1293),
        (EMBEDDING.round(6), 870),
        (EMBEDDING.round(6).astype("<f4"), 870),
        (np.arange(1000) / 8, 200),
        (np.linspace(0, 1, 1000), 1500),
        (np.array([1.5]), 14),
    ],
    ids=str,
)
def test_sizes(array, most):
    body = _body(array)
    assert len(body) <= most
    assert len(body) < len(BytePlanesCoder().strongest().encode(*to_canonical(array))) or array.size == 1


def test_the_codec_takes_it():
    blob = CODEC.encode(EMBEDDING.astype("<f4"))
    assert (nbmf.inspect(blob).coder, nbmf.inspect(blob).fidelity) == ("floats", "lossless")
    assert len(blob) < 1300
    assert same(nbmf.decode(blob), EMBEDDING.astype("<f4"))


SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    5e-324,
    -5e-324,
    1e-40,
    1.0,
    -1.0,
    0.1,
    1e300,
    3.0,
    2.5,
    1e-9,
    2**53,
    65504,
]


@pytest.mark.parametrize("dtype", SIZES)
def test_every_bit_of_every_float_is_kept(dtype):
    rng = random.Random(dtype)
    width = SIZES[dtype][0]
    for _ in range(200):
        count = rng.choice([1, 2, 3, 10, 100])
        with np.errstate(all="ignore"):
            special = np.array(rng.choices(SPECIAL, k=count)).astype(dtype)
        for array in (special, np.frombuffer(rng.randbytes(width * count), dtype)):
            _body(array)
            _every_predictor(array)


def _every_predictor(array):
    item_bytes, exponent_bits = SIZES[array.dtype.str]
    for predictor in range(4):
        made = _core.encode_floats(array.tobytes(), item_bytes, exponent_bits, predictor)
        if made is None:
            assert predictor == 3
            continue
        dropped, largest, stream = made
        out = bytearray(array.nbytes)
        _core.decode_floats(stream, item_bytes, exponent_bits, predictor, dropped, largest, out)
        assert bytes(out) == array.tobytes(), predictor


@settings(max_examples=200)
@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=60), st.integers(0, 9), st.sampled_from(["<f4", "<f8"])
)
def test_decimals(integers, digits, dtype):
    _every_predictor((np.array(integers) / 10**digits).astype(dtype))


def test_a_large_array_is_tried_on_its_beginning():
    decimals = np.arange(20_000) % 977 / 100
    smaller = len(_body(decimals))
    unlike = decimals.copy()
    unlike[15_000] = np.pi
    assert len(_body(unlike)) > smaller
    assert FLOATS.encode(*to_canonical(np.zeros(MOST_NUMBERS + 1, "<f4"))) is None


@pytest.mark.parametrize(
    "value", [np.zeros(0, "<f4"), np.arange(9), np.zeros(3, bool), b"bytes", "text", [0.5]], ids=str
)
def test_of_what_is_no_array_of_floats_it_takes_nothing(value):
    assert FLOATS.encode(*to_canonical(value)) is None


_GOOD = FLOATS.encode(*to_canonical(np.linspace(0, 1, 20).astype("<f4")))


@pytest.mark.parametrize(
    ("kind", "body", "size"),
    [
        (Kind.BYTES, _GOOD, 81),
        (Kind.ARRAY, b"", 81),
        (Kind.ARRAY, _GOOD[:1], 81),
        (Kind.ARRAY, _GOOD[:2], 81),
        (Kind.ARRAY, _GOOD, 82),
        (Kind.ARRAY, _GOOD, 1),
        (Kind.ARRAY, _GOOD, 1 + 4 * (MOST_NUMBERS + 1)),
        (Kind.ARRAY, bytes([0 | 24 << 2]) + _GOOD[1:], 81),  # more low bits than there are
        (Kind.ARRAY, bytes([3 | 10 << 2]) + _GOOD[1:], 81),  # more digits
        (Kind.ARRAY, bytes([0, 0x80, 0x02]) + _GOOD[2:], 81),  # an exponent of nine bits
        (Kind.ARRAY, _GOOD[:2] + b"\x16" + _GOOD[3:], 81),  # int32
        (Kind.ARRAY, b"\x00" + b"\xff" * 8 + b"\x01" + _GOOD[2:], 81),
    ],
)
def test_a_damaged_body_is_refused(kind, body, size):
    with pytest.raises(CorruptBlob):
        FLOATS.decode(kind, body, size)


def test_damage_is_found():
    array = RNG.normal(size=40).astype("<f4")
    kind, canonical = to_canonical(array)
    blob = frame.pack(kind, FLOATS.number, "lossless", b"", b"", canonical, FLOATS.encode(kind, canonical))
    assert arrays.to_bytes(nbmf.decode(blob)) == canonical
    for index in range(len(blob)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(blob)
            damaged[index] ^= flip
            with pytest.raises((BlobError, UnknownCodec)):
                nbmf.decode(bytes(damaged))
