"""Products of an int8 matrix and a few int8 vectors, exact, as fast as the processor has them.

x86's VPDPBUSD multiplies bytes without sign by bytes with sign, four products to a 32-bit lane, and
never saturates (its sibling with an S does). So a matrix is kept with 128 added, and 128 times the
vector's sum is taken off again. Sixteen rows fill the lanes of a register, four columns at a time: the
bytes of a packed matrix stand in that order, and no sum has to be gathered from the lanes. A tile of
64 rows stays in the first cache while all vectors pass by it.

Where there is no such instruction, bytes stay row by row, and a plain loop gives the same sums.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as numba_cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from nbmf.neural.jit import uncounted
from nbmf.neural.scalars import Whole

cgutils: Any = numba_cgutils  # not typed

OFFSET = 128
LANES = 16
COLUMNS = 4  # products in a lane
_OFFSETS = 0x80808080  # of a lane
_STEP = LANES * COLUMNS  # products of one instruction
_BLOCKS = 4  # of 16 rows in a tile

_INT32 = ir.IntType(32)
_SUMS = ir.VectorType(_INT32, LANES)
_BYTES = ir.VectorType(ir.IntType(8), _STEP)
_INSTRUCTION = "llvm.x86.avx512.vpdpbusd.512"


def _operand_type() -> Any:
    """How this LLVM wants the bytes: as such or, in older ones, as 32-bit lanes; None if it knows neither."""
    for operand in (_BYTES, _SUMS):
        try:
            llvmlite.binding.parse_assembly(
                f"declare {_SUMS} @{_INSTRUCTION}({_SUMS}, {operand}, {operand})\n"
                f"define {_SUMS} @f({_SUMS} %s, {operand} %a) {{\n"
                f"%r = call {_SUMS} @{_INSTRUCTION}({_SUMS} %s, {operand} %a, {operand} %a)\n"
                f"ret {_SUMS} %r }}"
            ).verify()
        except RuntimeError:
            continue
        return operand
    return None


def _has_vnni() -> bool:
    """Whether numba compiles for a processor with 512-bit VPDPBUSD; a processor set by hand is taken to have none."""
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES:  # type: ignore[attr-defined]
        return False
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("avx512vnni") and features.get("avx512f") and _OPERAND)


_OPERAND = _operand_type()
HAS_VNNI = _has_vnni()


def padded(size: int, to: int) -> int:
    """The next multiple of `to`."""
    return -(-size // to) * to


def pack(matrix: NDArray[np.int8]) -> NDArray[np.uint8]:
    """A copy [..., R, K] with 128 added, R and K filled up with zeros to whole lanes and columns, in the order used."""
    *before, R, K = matrix.shape
    result = packed_zeros(matrix.shape)
    wide = np.full(result.shape, OFFSET, dtype=np.uint8)
    wide[..., :R, :K] = matrix.view(np.uint8) ^ OFFSET
    if HAS_VNNI:
        rows, columns = result.shape[-2:]
        wide = wide.reshape(*before, rows // LANES, LANES, columns // COLUMNS, COLUMNS).swapaxes(-3, -2)
    result[...] = wide.reshape(result.shape)
    return result


def packed_zeros(shape: tuple[int, ...], offset: int = OFFSET) -> NDArray[np.uint8]:
    """A packed matrix [..., R, K] of zeros, its first byte at an address that whole cache lines start at."""
    shape = (*shape[:-2], padded(shape[-2], LANES), padded(shape[-1], COLUMNS))
    size = int(np.prod(shape))
    whole = np.full(size + _STEP, offset, dtype=np.uint8)
    begin = -whole.ctypes.data % _STEP
    return whole[begin : begin + size].reshape(shape)


@uncounted
def put_row(matrix_RK: NDArray[np.uint8], row: Whole, values_K: NDArray[np.int8]) -> None:
    """Sets a row of a packed matrix; as many values as it has columns."""
    flat, K = matrix_RK.reshape(matrix_RK.size), matrix_RK.shape[1]
    if HAS_VNNI:
        to, groups = flat.view(np.uint32), values_K.view(np.uint32)
        begin = row // LANES * (LANES * K // COLUMNS) + row % LANES
        for group in range(len(groups)):
            to[np.uint64(begin + group * LANES)] = groups[group] ^ np.uint32(_OFFSETS)
    else:
        for k in range(K):
            flat[row * K + k] = np.int32(values_K[k]) + OFFSET


@uncounted
def put_column(matrix_RK: NDArray[np.int8], column: Whole, values_R: NDArray[np.int8]) -> None:
    """Sets a column of a packed matrix without offset; as many values as it has rows."""
    flat, K = matrix_RK.reshape(matrix_RK.size), matrix_RK.shape[1]
    if HAS_VNNI:
        begin = column // COLUMNS * _STEP + column % COLUMNS
        for block in range(len(values_R) // LANES):
            for lane in range(LANES):
                flat[np.uint64(begin + block * LANES * K + lane * COLUMNS)] = values_R[block * LANES + lane]
    else:
        for r in range(len(values_R)):
            flat[r * K + column] = values_R[r]


def _make_tile(blocks: int, vectors: int, with_offset: bool) -> Any:
    """The sums of `blocks` times 16 rows with `vectors` vectors; a matrix with offset, or vectors without sign."""

    @intrinsic
    def tile(
        _typing: Any,
        _matrix: Any,
        _block_stride: Any,
        _steps: Any,
        _x: Any,
        _x_stride: Any,
        _out: Any,
        _out_stride: Any,
        _offsets: Any,
    ) -> Any:
        signature = types.void(
            types.uintp, types.intp, types.intp, types.uintp, types.intp, types.uintp, types.intp, types.uintp
        )

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            matrix, block_stride, steps, x, x_stride, out, out_stride, offsets = arguments
            dot = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_SUMS, [_SUMS, _OPERAND, _OPERAND]), _INSTRUCTION
            )

            def at(base: Any, index: Any, stride: Any) -> Any:
                index, stride = (ir.Constant(base.type, v) if isinstance(v, int) else v for v in (index, stride))
                return builder.add(base, builder.mul(index, stride))

            def load(address: Any, kind: Any) -> Any:
                return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)

            def in_all_lanes(address: Any) -> Any:
                none = ir.Constant(_SUMS, ir.Undefined)
                first = builder.insert_element(none, load(address, _INT32), ir.Constant(_INT32, 0))
                return builder.shuffle_vector(first, none, ir.Constant(_SUMS, [0] * LANES))

            zero = ir.Constant(_SUMS, [0] * LANES)
            sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(blocks)]
            with cgutils.for_range(builder, steps) as loop:
                rows = [load(at(at(matrix, i, block_stride), loop.index, _STEP), _OPERAND) for i in range(blocks)]
                for j in range(vectors):
                    columns = in_all_lanes(at(at(x, j, x_stride), loop.index, COLUMNS))
                    columns = builder.bitcast(columns, _OPERAND)
                    for i in range(blocks):
                        factors = (rows[i], columns) if with_offset else (columns, rows[i])
                        builder.store(builder.call(dot, [builder.load(sums[i][j]), *factors]), sums[i][j])
            for j in range(vectors):
                taken_off = in_all_lanes(at(offsets, j, 4)) if with_offset else zero
                for i in range(blocks):
                    address = at(at(out, j, out_stride), i, 4 * LANES)
                    total = builder.sub(builder.load(sums[i][j]), taken_off)
                    builder.store(total, builder.inttoptr(address, _SUMS.as_pointer()), align=1)
            return context.get_dummy_value()

        return signature, generate

    return tile


_tile_4x6, _tile_4x4, _tile_4x3, _tile_4x2, _tile_4x1 = (
    _make_tile(_BLOCKS, vectors, True) for vectors in (6, 4, 3, 2, 1)
)
_tile_1x4, _tile_1x1 = (_make_tile(1, vectors, True) for vectors in (4, 1))
_digits_4, _digits_1 = (_make_tile(blocks, 2, False) for blocks in (_BLOCKS, 1))


class ProductScratch(NamedTuple):
    """Work space of the products."""

    taken_off_B: NDArray[np.int32]
    wide_K: NDArray[np.int16]  # both factors in 16 bits: one multiply-add instruction, where there is no VPDPBUSD


def new_product_scratch(vectors: int, columns: int) -> ProductScratch:
    return ProductScratch(np.zeros(vectors, dtype=np.int32), np.zeros(columns, dtype=np.int16))


@uncounted
def row_products(
    matrix_RK: NDArray[np.uint8],
    x_BK: NDArray[np.int8],
    vectors: Whole,
    begin: Whole,
    end: Whole,
    out_BR: NDArray[np.int32],
    scratch: ProductScratch,
) -> None:
    """Rows `begin` to `end`, whole blocks of 16, of a packed matrix times the first vectors, into columns of out_BR.

    x_BK has as many columns as the packed matrix. |sums| below 2^31 is the caller's care.
    """
    K = matrix_RK.shape[1]
    taken_off_B, wide_K = scratch.taken_off_B, scratch.wide_K
    for b in range(vectors):
        total = np.int32(0)
        for k in range(K):
            total = np.int32(total + np.int32(x_BK[b, k]))
        taken_off_B[b] = np.int32(OFFSET) * total
    if HAS_VNNI:
        matrix, x, out, off = matrix_RK.ctypes.data, x_BK.ctypes.data, out_BR.ctypes.data, taken_off_B.ctypes.data
        steps, stride, out_stride = K // COLUMNS, LANES * K, 4 * out_BR.shape[1]
        row = begin
        while row < end:
            tall = row + _BLOCKS * LANES <= end
            rows = matrix + row * K
            b = 0
            while b < vectors:
                at_x, at_out, at_off = x + b * K, out + b * out_stride + 4 * row, off + 4 * b
                if tall and b + 6 <= vectors:
                    _tile_4x6(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 6
                elif tall and b + 4 <= vectors:
                    _tile_4x4(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 4
                elif tall and b + 3 <= vectors:
                    _tile_4x3(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 3
                elif tall and b + 2 <= vectors:
                    _tile_4x2(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 2
                elif tall:
                    _tile_4x1(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 1
                elif b + 4 <= vectors:
                    _tile_1x4(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 4
                else:
                    _tile_1x1(rows, stride, steps, at_x, K, at_out, out_stride, at_off)
                    b += 1
            row += _BLOCKS * LANES if tall else LANES
    else:
        for b in range(vectors):
            for k in range(K):
                wide_K[k] = x_BK[b, k]
            for row in range(begin, end):
                total = np.int32(0)
                for k in range(K):
                    total = np.int32(total + np.int32(matrix_RK[row, k]) * np.int32(wide_K[k]))
                out_BR[b, row] = total - taken_off_B[b]


@uncounted
def digit_products(
    matrix_RK: NDArray[np.int8],
    x_2K: NDArray[np.uint8],
    begin: Whole,
    end: Whole,
    out_2R: NDArray[np.int32],
    scratch: ProductScratch,
) -> None:
    """Columns `begin` to `end`, whole groups of 4, of a packed matrix without offset times two vectors without sign."""
    R, K = matrix_RK.shape
    if HAS_VNNI:
        matrix, x, out = matrix_RK.ctypes.data, x_2K.ctypes.data, out_2R.ctypes.data
        steps, stride, out_stride = (end - begin) // COLUMNS, LANES * K, 4 * out_2R.shape[1]
        row = 0
        while row < R:
            rows, at_out = matrix + row * K + begin * LANES, out + 4 * row
            if row + _BLOCKS * LANES <= R:
                _digits_4(rows, stride, steps, x + begin, x_2K.shape[1], at_out, out_stride, matrix)
                row += _BLOCKS * LANES
            else:
                _digits_1(rows, stride, steps, x + begin, x_2K.shape[1], at_out, out_stride, matrix)
                row += LANES
    else:
        wide_K = scratch.wide_K
        for digit in range(2):
            for k in range(begin, end):
                wide_K[k] = x_2K[digit, k]
            for row in range(R):
                total = np.int32(0)
                for k in range(begin, end):
                    total = np.int32(total + np.int32(matrix_RK[row, k]) * np.int32(wide_K[k]))
                out_2R[digit, row] = total
