"""Blobs of vectors that are kept up to a cosine."""

import math

import ml_dtypes
import numpy as np
import pytest
import torch
from helpers import same

import nbmf
from nbmf import frame
from nbmf.codec import WITHOUT_VERSION as CODEC
from nbmf.coders import VectorsCoder
from nbmf.errors import BlobError, CorruptBlob, UnknownCodec
from nbmf.payload import Kind, to_canonical
from nbmf.vectors import Aim

RNG = np.random.default_rng(7)


def _unit(vector):
    vector = np.asarray(vector, dtype=np.float64)
    return vector / np.linalg.norm(vector)


def _vector(dims, seed=0):
    return _unit(np.random.default_rng(seed).normal(size=dims))


def cosine(a, b):
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    if not (np.isfinite(a).all() and a.any()):
        return 1.0 if a.tobytes() == b.tobytes() else -1.0
    a, b = a / np.abs(a).max(), b / max(np.abs(b).max(), 1e-300)
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def _given_back(vector, **options):
    blob = CODEC.encode(vector, "semantic", **options)
    found = nbmf.decode(blob)
    assert (found.dtype, found.shape) == (vector.dtype, vector.shape)
    return nbmf.inspect(blob), found


@pytest.mark.parametrize("dims", [8, 9, 15, 16, 17, 100, 384, 768, 1000, 1536, 4097])
def test_a_vector_of_any_dimension(dims):
    vector = _vector(dims).astype(np.float32)
    info, found = _given_back(vector)
    assert (info.coder, info.fidelity) == ("vectors", "semantic")
    assert cosine(vector, found) > 0.98
    assert info.blob_bytes < 0.45 * dims + 14
    assert abs(np.linalg.norm(found.astype(np.float64)) - 1) < 1e-6


def test_cosine_and_size_in_the_mean():
    """A rotated vector needs log2(1 / .1) = 3.32 bits a number at a cosine of .995 by any coder: 159.5 bytes of 384."""
    infos, cosines = [], []
    for seed in range(100):
        vector = _vector(384, seed).astype(np.float32)
        info, found = _given_back(vector)
        infos.append(info)
        cosines.append(cosine(vector, found))
    assert np.mean(cosines) >= 0.995
    assert np.mean([info.blob_bytes for info in infos]) <= 172


@pytest.mark.parametrize("norm", [1e-20, 3e-4, 0.5, 7.3, 1e9])
def test_the_norm_is_kept(norm):
    vector = (_vector(384) * norm).astype(np.float32)
    _, found = _given_back(vector)
    lengths = [np.linalg.norm(x.astype(np.float64)) for x in (vector, found)]
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-5)


@pytest.mark.parametrize(
    "vector",
    [
        _vector(384).astype("<f2"),
        _vector(384).astype("<f8"),
        _vector(384).astype(">f4"),
        _vector(384).astype(ml_dtypes.bfloat16),
        torch.tensor(_vector(384)).to(torch.bfloat16),
        torch.tensor(_vector(384)).to(torch.float32),
    ],
    ids=str,
)
def test_every_type_of_float(vector):
    blob = CODEC.encode(vector, "semantic")
    assert nbmf.inspect(blob).coder == "vectors"
    assert len(blob) <= 176
    found = nbmf.decode(blob)
    assert (type(found), found.dtype) == (type(vector), vector.dtype)
    numbers = [x.to(torch.float64).numpy() if isinstance(x, torch.Tensor) else x for x in (vector, found)]
    assert cosine(*numbers) > 0.99


def _whole():
    vector = _vector(64).astype(np.float32)
    for index, value in ((3, np.nan), (5, np.inf), (0, -np.inf)):
        vector = vector.copy()
        vector[index] = value
        yield vector
    yield np.zeros(64, np.float32)
    yield -np.zeros(64, np.float32)
    yield np.full(64, 5e-324)
    yield _vector(64) * 1e200
    yield _vector(7)
    yield np.arange(64)
    yield _vector(64).reshape(8, 8)
    yield np.zeros(0)
    yield "text"
    yield [0.1] * 20


@pytest.mark.parametrize("value", [*_whole()], ids=lambda value: str(value)[:40])
def test_what_is_no_vector_with_a_direction_is_kept_lossless(value):
    blob = CODEC.encode(value, "semantic")
    assert same(nbmf.decode(blob), value)
    assert nbmf.inspect(blob).fidelity == "lossless"


def test_the_flag_says_semantic_only_where_something_was_changed():
    changed = _given_back(_vector(384).astype(np.float32))[1]
    again, found = _given_back(changed)
    assert same(found, changed) == (again.fidelity == "lossless")
    flat = np.full(64, 0.125, np.float32)  # smaller by zstd
    assert _given_back(flat)[0].fidelity == "lossless"


@pytest.mark.parametrize("floor", [0.5, 0.98, 0.999, 0.99999])
def test_the_floor_is_kept(floor):
    for seed in range(20):
        vector = _vector(200, seed).astype(np.float32)
        assert cosine(vector, _given_back(vector, aim=Aim(least_cosine=floor, step=20))[1]) >= floor - 1e-9


def test_a_floor_that_no_step_reaches_keeps_the_vector_whole():
    vector = _vector(64).astype(np.float32)
    info, found = _given_back(vector, aim=Aim(least_cosine=1 - 1e-15))
    assert info.fidelity == "lossless"
    assert same(found, vector)


def _adversarial(rng, dims):
    kind = rng.integers(9)
    vector = rng.normal(size=dims)
    if kind == 1:  # sparse
        vector[rng.random(dims) < 0.97] = 0
    elif kind == 2:  # one-hot
        vector = np.eye(dims)[rng.integers(dims)] * rng.normal()
    elif kind == 3:  # huge range
        vector *= 10.0 ** rng.uniform(-40, 38, dims)
    elif kind == 4:  # what the rotation makes of one-hot ones: all its energy in few numbers
        vector = rng.choice([-1.0, 1.0], dims)
    elif kind == 5:
        vector = np.full(dims, rng.normal())
    elif kind == 6:  # denormals
        vector *= 1e-42
    elif kind == 7:
        vector = rng.standard_cauchy(dims)
    elif kind == 8:
        vector = np.zeros(dims)
        vector[: dims // 2] = 1e-7
        vector[0] = 1
    return vector


@pytest.mark.parametrize("dims", [16, 100, 128])
def test_no_adversarial_vector_falls_below_its_floor(dims):
    rng = np.random.default_rng(dims)
    coder = VectorsCoder()
    semantic = 0
    for _ in range(1_000):
        with np.errstate(over="ignore"):
            vector = _adversarial(rng, dims).astype(rng.choice(["<f2", "<f4", "<f8"]))
        kind, canonical = to_canonical(vector)
        made = coder.approximate(kind, canonical, Aim())
        if made is None:
            continue
        semantic += 1
        assert coder.decode(kind, made[1], len(canonical)) == made[0]
        assert cosine(vector, np.frombuffer(made[0], vector.dtype, offset=1)) >= 0.98 - 1e-9
    assert semantic > 500


def test_in_a_batch_the_same_blobs():
    vectors = [_vector(96, seed).astype(np.float32) for seed in range(5)]
    values = [vectors[0], "text", vectors[1], np.zeros(3), *vectors[2:]]
    assert CODEC.encode_batch(values, "semantic") == [CODEC.encode(value, "semantic") for value in values]


def _body():
    vector = _vector(64).astype(np.float32)
    kind, canonical = to_canonical(vector)
    changed, body, _ = VectorsCoder().approximate(kind, canonical, Aim())
    return changed, body


@pytest.mark.parametrize(
    ("kind", "body", "size"),
    [
        (Kind.BYTES, _body()[1], 257),
        (Kind.ARRAY, b"", 257),
        (Kind.ARRAY, b"\x41", 257),
        (Kind.ARRAY, _body()[1], 256),  # no whole number of floats
        (Kind.ARRAY, _body()[1], 1 + 4 * 7),
        (Kind.ARRAY, _body()[1], 1 + 4 * 65_537),
        (Kind.ARRAY, b"\x49\x01" + _body()[1][1:], 258),  # flags that no array has
        (Kind.ARRAY, b"\xf1\x80" + _body()[1][1:], 257),  # a step beyond the finest
        (Kind.ARRAY, b"\xf1\x25" + _body()[1][1:], 257),  # a step that has a shorter form
        (Kind.ARRAY, b"\x45\x7f\x00\x00" + _body()[1][1:], 257),  # a norm out of range
        (Kind.ARRAY, b"\x45\x01\x00", 257),
    ],
)
def test_a_damaged_body_is_refused(kind, body, size):
    with pytest.raises(CorruptBlob):
        VectorsCoder().decode(kind, body, size)


def test_damaged_streams_end_and_are_found():
    changed, body = _body()
    blob = frame.pack(Kind.ARRAY, 12, "semantic", b"", b"", changed, body)
    assert nbmf.decode(blob).tobytes() == changed[1:]
    for index in range(len(blob)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(blob)
            damaged[index] ^= flip
            with pytest.raises((BlobError, UnknownCodec)):
                nbmf.decode(bytes(damaged))


@pytest.mark.parametrize("field", [{"least_cosine": 1.0}, {"least_cosine": 0}, {"step": 128}, {"rate_weight": -1}])
def test_an_aim_out_of_range(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        Aim(**field)
