"""Exact products on every kind of processor that this one can run code for: matrices of all shapes, extreme values."""

import itertools

import numpy as np
import pytest

from nbmf import _core


@pytest.mark.parametrize(
    ("rows", "columns"), [(16, 4), (1, 1), (48, 64), (100, 30), (64, 192), (200, 768), (576, 20), (512, 60), (768, 30)]
)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 11, 16])
@pytest.mark.parametrize("sparse", [False, True])
def test_products_are_exact(path, rows, columns, count, sparse) -> None:
    generator = np.random.default_rng(rows + count)
    extremes = np.array([-127, 127], dtype=np.int8)
    matrix, x = generator.choice(extremes, (rows, columns)), generator.choice(extremes, (count, columns))
    matrix[::2] = generator.integers(-127, 128, matrix[::2].shape)
    matrix[0], x[0] = 127, 127
    matrix[-1], x[-1] = -127, 127
    if sparse:
        x = np.abs(x)
        x[generator.random(x.shape) < 0.7] = 0
    elif count > 2:
        x[2] = -128  # a table's row may hold it
    if count > 3:
        x[3] = 0
    out = np.full((count, -(-rows // 64) * 64), 7, dtype=np.int32)
    _core.products(matrix, rows, columns, x, count, out, sparse)
    np.testing.assert_array_equal(out[:, :rows], x.astype(np.int64) @ matrix.T.astype(np.int64))
    assert not out[:, rows:].any()


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("weight", [1, 20, 63, 64, 90, 127])
def test_the_largest_sums_that_16_bits_hold_are_exact_and_those_beyond(path, weight, keys) -> None:
    """Values of each size with the signs of the weights and against them, alone and beside one that is larger by one:
    where sums are of 16 bits, they hold those of some of these for four groups, of others for one, of others for half
    a value."""
    signs = np.random.default_rng(weight).choice(np.array([-1, 1], np.int8), 64)
    alike = np.ones_like(signs)
    matrix = np.zeros((64, 64), np.int8)
    matrix[:4] = weight * np.stack([signs, -signs, alike, -alike])
    out = np.empty((4, 64), dtype=np.int32)
    for value in range(127):
        x = value * np.stack([signs, signs, alike, alike])
        x[1::2, ::2] += np.sign(x[1::2, ::2])
        _core.products(matrix, 64, 64, x, 4, out, False, keys)
        np.testing.assert_array_equal(out, x.astype(np.int64) @ matrix.T.astype(np.int64))


@pytest.mark.parametrize("weights", [*itertools.permutations([1, 20, 90, 127])])
def test_what_16_bits_hold_is_of_the_weights_beside_a_value(path, weights) -> None:
    """Each sixteen columns have weights of their own, and so have both halves of each four."""
    matrix = np.zeros((64, 64), np.int8)
    matrix[0] = np.repeat(weights, 16)
    matrix[1] = np.tile(np.repeat(weights[:2], 2), 16)
    matrix[2:4] = -matrix[:2]
    matrix[4] = np.repeat(weights, 16) * np.tile([1, 0], 32)
    out = np.empty((1, 64), dtype=np.int32)
    for value in range(128):
        x = np.full((1, 64), value, np.int8)
        for lacks in ((), slice(0, None, 4), slice(1, None, 4), slice(2, None, 2)):
            x[0, lacks] = 0
            _core.products(matrix, 64, 64, x, 1, out)
            np.testing.assert_array_equal(out, x.astype(np.int64) @ matrix.T.astype(np.int64))


@pytest.mark.parametrize("beside", [0, 1, -1])
def test_minus_128_beside_little(path, beside) -> None:
    """A table's row may hold it."""
    matrix, out = np.zeros((64, 64), np.int8), np.empty((1, 64), dtype=np.int32)
    matrix[0], matrix[1] = 127, -127
    x = np.full((1, 64), beside, np.int8)
    x[0, ::2] = -128
    _core.products(matrix, 64, 64, x, 1, out)
    np.testing.assert_array_equal(out, x.astype(np.int64) @ matrix.T.astype(np.int64))


def test_keys_of_other_sizes_are_refused() -> None:
    matrix, x, out = np.zeros((16, 4), np.int8), np.zeros((1, 4), np.int8), np.zeros((1, 64), np.int32)
    with pytest.raises(ValueError, match="no keys"):
        _core.products(matrix, 16, 4, x, 1, out, False, True)


def test_arrays_of_other_sizes_and_types_are_refused() -> None:
    matrix, x, out = np.zeros((16, 4), np.int8), np.zeros((1, 4), np.int8), np.zeros((1, 64), np.int32)
    for wrong in ((matrix[:8], x, out), (matrix, x[:, :2].copy(), out), (matrix, x, out[:, :16].copy())):
        with pytest.raises(ValueError, match="numbers of type"):
            _core.products(wrong[0], 16, 4, wrong[1], 1, wrong[2])
    for wrong in ((matrix.astype(np.int16), x, out), (matrix, x, out.astype(np.float32)), (matrix, x, out[:, ::2])):
        with pytest.raises((ValueError, BufferError)):
            _core.products(wrong[0], 16, 4, wrong[1], 1, wrong[2])


def test_a_negative_number_of_a_sparse_vector_is_refused() -> None:
    matrix, x, out = np.ones((1, 4), np.int8), np.array([[0, 1, -1, 0]], np.int8), np.zeros((1, 64), np.int32)
    with pytest.raises(ValueError, match="negative"):
        _core.products(matrix, 1, 4, x, 1, out, True)
