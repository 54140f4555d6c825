"""Exact products: packed matrices of all shapes, extreme values, parts of a matrix, bytes put into one."""

import numpy as np
import pytest

from nbmf.neural.dot import (
    COLUMNS,
    LANES,
    digit_products,
    new_product_scratch,
    pack,
    packed_zeros,
    padded,
    put_column,
    put_row,
    row_products,
)


def vectors(x, columns):
    """Filled up with zeros to the columns of a packed matrix."""
    wide = np.zeros((len(x), columns), dtype=x.dtype)
    wide[:, : x.shape[1]] = x
    return wide


@pytest.mark.parametrize(("rows", "columns"), [(16, 4), (1, 1), (48, 64), (100, 30), (64, 192), (200, 768), (576, 20)])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 6, 7, 11, 16])
def test_products_are_exact(rows, columns, count) -> None:
    generator = np.random.default_rng(rows + count)
    extremes = np.array([-127, 127], dtype=np.int8)
    matrix, x = generator.choice(extremes, (rows, columns)), generator.choice(extremes, (count, columns))
    matrix[::2] = generator.integers(-127, 128, matrix[::2].shape)
    matrix[0], x[0] = 127, 127
    matrix[-1], x[-1] = -127, 127
    packed = pack(matrix)
    assert packed.shape == (padded(rows, LANES), padded(columns, COLUMNS))
    out = np.full((count, len(packed)), 7, dtype=np.int32)
    scratch = new_product_scratch(count, packed.shape[1])
    row_products(packed, vectors(x, packed.shape[1]), count, 0, len(packed), out, scratch)
    np.testing.assert_array_equal(out[:, :rows], x.astype(np.int64) @ matrix.T.astype(np.int64))
    assert not out[:, rows:].any()
    out[:] = 7
    if len(packed) >= 48:
        row_products(packed, vectors(x, packed.shape[1]), count, 16, 48, out, scratch)
        np.testing.assert_array_equal(out[:, 16:48], x.astype(np.int64) @ matrix[16:48].T.astype(np.int64))
        assert (out[:, :16] == 7).all()
        assert (out[:, 48:] == 7).all()


def test_pack_keeps_layers_apart() -> None:
    layers = np.random.default_rng(1).integers(-127, 128, (3, 20, 9), dtype=np.int8)
    packed = pack(layers)
    for one, whole in zip(layers, packed, strict=True):
        np.testing.assert_array_equal(whole, pack(one))
        assert whole.ctypes.data % (LANES * COLUMNS) == 0
    assert packed.ctypes.data % 64 == 0


def test_rows_that_are_put_are_multiplied() -> None:
    generator = np.random.default_rng(2)
    matrix, keys = generator.integers(-127, 128, (48, 32), dtype=np.int8), packed_zeros((48, 32))
    for row in generator.permutation(48):
        put_row(keys, row, matrix[row])
    np.testing.assert_array_equal(keys, pack(matrix))


@pytest.mark.parametrize("heights", [16, 48, 64, 80])
def test_digits_of_columns_that_are_put(heights) -> None:
    generator = np.random.default_rng(heights)
    matrix, values = generator.integers(-127, 128, (heights, 64), dtype=np.int8), packed_zeros((heights, 64), 0)
    values = values.view(np.int8)
    for column in generator.permutation(64):
        put_column(values, column, matrix[:, column].copy())
    digits = generator.integers(0, 256, (2, 64), dtype=np.uint8)
    digits[1, :5] = 255
    scratch = new_product_scratch(1, 64)
    for begin, end in ((0, 64), (16, 48), (60, 64)):
        out = np.zeros((2, heights), dtype=np.int32)
        digit_products(values, digits, begin, end, out, scratch)
        expected = digits[:, begin:end].astype(np.int64) @ matrix[:, begin:end].T.astype(np.int64)
        np.testing.assert_array_equal(out, expected)
