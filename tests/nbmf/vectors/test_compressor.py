"""LatentCompressor: vectors of one space."""

from functools import cache

import numpy as np
import pytest

from nbmf import _core
from nbmf.errors import CorruptBlob
from nbmf.vectors import Aim, LatentCompressor, coding

DIMS = 48


@cache
def _vectors(count=800, seed=1):
    """Of falling variance along directions of their own, with a mean, and longer or shorter tails by vector."""
    rng = np.random.default_rng(5)
    axes, _ = np.linalg.qr(rng.normal(size=(DIMS, DIMS)))
    mean = rng.normal(size=DIMS)
    rng = np.random.default_rng(seed)
    spread = 3 * 0.9 ** np.arange(DIMS) * np.exp(0.4 * rng.normal(size=(count, 1)))
    x = mean + (rng.normal(size=(count, DIMS)) * spread) @ axes.T
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@cache
def _fitted(quantization="int8", latent_dim=None):
    return LatentCompressor(DIMS, latent_dim, quantization).fit(_vectors())


def _cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_it_needs_fewer_bytes_than_a_rotation_at_its_cosine():
    kept = _vectors(400, 2)
    bodies = _fitted().encode(kept)
    found = _fitted().decode(bodies)
    cosines = _cosines(kept, found)
    similarity = _fitted().similarity(kept)
    assert (found.dtype, found.shape) == (kept.dtype, kept.shape)
    assert similarity.mean == pytest.approx(cosines.mean(), abs=1e-6)
    assert similarity.least == pytest.approx(cosines.min(), abs=1e-6)
    assert cosines.mean() == pytest.approx(0.9955, abs=3e-4)
    assert cosines.min() >= 0.98
    rotated, _, by_rotation = coding.encode(coding.space_of(DIMS), kept.tobytes(), 400, "float32", Aim())
    assert np.mean(by_rotation) < cosines.mean()
    assert np.mean([*map(len, bodies)]) < 0.75 * np.mean([*map(len, rotated)])


@pytest.mark.parametrize("quantization", ["int8", "fp16"])
@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_one_by_one_and_in_batches_the_same(quantization, kind):
    compressor = _fitted(quantization)
    vectors = (_vectors(20, 3) * 3.5).astype(kind)
    bodies = compressor.encode(vectors)
    assert [body for vector in vectors for body in compressor.encode(vector[None])] == bodies
    found = compressor.decode(bodies)
    assert found.dtype == vectors.dtype
    assert np.concatenate([compressor.decode([body]) for body in bodies]).tobytes() == found.tobytes()
    assert _cosines(vectors, found).min() > 0.99
    lengths = np.linalg.norm(found.astype(np.float64), axis=1) / np.linalg.norm(vectors.astype(np.float64), axis=1)
    assert np.abs(lengths - 1).max() < (2e-3 if kind == "<f2" else 1e-5)


def test_float16_latents_are_their_size():
    bodies = _fitted("fp16", 40).encode(_vectors(5, 4))
    assert {*map(len, bodies)} == {1 + 2 * 40}


def test_fewer_latents_lose_what_the_others_hold():
    few = _fitted("fp16", 8).similarity(_vectors(200, 2))
    most = _fitted("fp16", 40).similarity(_vectors(200, 2))
    assert few.whole > 100  # below the floor
    assert most.whole == 0
    assert most.mean > 0.9999


def test_what_has_no_direction_is_kept_whole():
    vectors = _vectors(6, 5).copy()
    vectors[0], vectors[1, 3], vectors[2, 0], vectors[4] = 0, np.nan, -np.inf, 1e-30
    compressor = _fitted()
    found = compressor.decode(compressor.encode(vectors))
    assert found[:3].tobytes() == vectors[:3].tobytes()
    assert np.linalg.norm(found[3:].astype(np.float64), axis=1) == pytest.approx(
        np.linalg.norm(vectors[3:].astype(np.float64), axis=1), rel=1e-5
    )
    assert compressor.similarity(vectors).whole == 3
    assert compressor.decode([]).shape == (0, DIMS)


def test_vectors_unlike_the_training_ones_keep_the_floor():
    strange = np.random.default_rng(8).normal(size=(200, DIMS))
    strange[:40] = np.eye(DIMS)[:40]
    strange[40:80] *= 10.0 ** np.random.default_rng(9).uniform(-30, 30, size=(40, DIMS))
    compressor = _fitted()
    found = compressor.decode(compressor.encode(strange))
    assert _cosines(strange, found).min() >= 0.98 - 1e-9


def test_a_file_gives_the_same_compressor():
    compressor = LatentCompressor(DIMS, 40, cosine=0.99, aim=Aim(least_cosine=0.9, step=30)).fit(_vectors())
    data = compressor.to_safetensors()
    again = LatentCompressor.from_safetensors(data)
    assert again.to_safetensors() == data
    assert (again.latent_dim, again.cosine, again.aim) == (40, 0.99, compressor.aim)
    assert again.encode(_vectors(9, 6)) == compressor.encode(_vectors(9, 6))


def test_a_damaged_file_is_refused():
    data = _fitted().to_safetensors()
    for damaged in (b"", data[:50], data[:-1], data.replace(b'"I16"', b'"U16"'), data.replace(b"int8", b"int7")):
        with pytest.raises(ValueError, match=r"."):
            LatentCompressor.from_safetensors(damaged)
    large = data[:-DIMS] + b"\xff\x7f" * (DIMS // 2)  # levels and means out of range, or rows that are too long
    with pytest.raises(ValueError, match="no vector space"):
        LatentCompressor.from_safetensors(large)


def test_damaged_bodies():
    compressor = _fitted()
    (body,) = compressor.encode(_vectors(1, 7))
    for damaged in (b"", b"\x41", b"\xff\x01" + bytes(9), body[:1] * 1):
        with pytest.raises(CorruptBlob):
            compressor.decode([damaged])
    for cut in range(2, len(body)):
        assert compressor.decode([body[:cut]]).shape == (1, DIMS)  # a stream goes on with zeros: another vector


@pytest.mark.parametrize(
    ("arguments", "word"),
    [((4,), "input_dim"), ((64, 65), "latent_dim"), ((64, 0), "latent_dim"), ((64, None, "int4"), "quantization")],
)
def test_arguments_out_of_range(arguments, word):
    with pytest.raises(ValueError, match=word):
        LatentCompressor(*arguments)


def test_it_says_what_is_missing():
    compressor = LatentCompressor(DIMS)
    with pytest.raises(ValueError, match="not fitted"):
        compressor.encode(_vectors(3, 7))
    with pytest.raises(ValueError, match="too few"):
        compressor.fit(_vectors(20, 7))
    with pytest.raises(ValueError, match="48 numbers"):
        compressor.fit(np.zeros((100, 47)))
    with pytest.raises(ValueError, match="48 numbers"):
        _fitted().encode(np.zeros((100, 47)))
    with pytest.raises(ValueError, match="several types"):
        _fitted().decode([*_fitted().encode(_vectors(1, 7)), *_fitted().encode(_vectors(1, 7).astype("f8"))])


def test_every_kind_of_processor_gives_the_same_bits():
    digests = {}
    transform = LatentCompressor.from_safetensors(_fitted().to_safetensors())._transform
    vectors = np.concatenate([_vectors(40, 8), np.random.default_rng(3).normal(size=(40, DIMS))]).astype(np.float32)
    before = _core.cpu()
    try:
        for name in _core.paths():
            _core.use(name)
            found = []
            for space in (transform.space(), _core.VectorSpace(DIMS)):
                for kind in ("float32", "float16", "bfloat16", "float64"):
                    numbers = vectors.astype({"float64": "f8", "float32": "f4"}.get(kind, "f2")).tobytes()
                    bodies, decoded, _ = coding.encode(space, numbers, 80, kind, Aim())
                    good = [body for body in bodies if body is not None]
                    found.append((bodies, bytes(decoded), bytes(coding.decode(space, good, DIMS, kind)[0])))
            digests[name] = found
    finally:
        _core.use(before)
    assert len(digests) > 1 or "plain" in digests
    assert all(found == digests["plain"] for found in digests.values())
