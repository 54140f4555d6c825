"""Products of an int8 matrix and a few int8 vectors, exact, as fast as the processor has them.

x86's VPDPBUSD multiplies bytes without sign by bytes with sign, four products to a 32-bit lane, and
never saturates (its sibling with an S does). So a matrix is kept with 128 added, and 128 times the
vector's sum is taken off again. Sixteen rows fill the lanes of a register, four columns at a time: the
bytes of a packed matrix stand in that order, and no sum has to be gathered from the lanes. A tile of
64 rows stays in the first cache while all vectors pass by it.

Where there is AVX2 only, VPMADDWD does the same with two 16-bit products to each of eight lanes (there is
an instruction for bytes, but it saturates). Elsewhere bytes stay row by row, and a plain loop gives the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass
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
_BLOCKS = 4  # of rows in a tile

_INT32 = ir.IntType(32)
_AVX2_PROCESSORS = ("haswell", "broadwell", "znver1", "znver2", "znver3")  # that a user may name for numba


@dataclass(frozen=True, slots=True)
class _Instruction:
    """A product and a sum for every lane. `operand` is how LLVM wants the factors; rows are loaded as bytes."""

    name: str
    lanes: int
    columns: int  # products in a lane
    operand: Any
    adds: bool  # to a sum that it is given
    most_vectors: int  # beside four blocks of rows, in registers


def _vpdpbusd() -> _Instruction | None:
    """With its factors as bytes or, in older LLVMs, as 32-bit lanes."""
    name, sums = "llvm.x86.avx512.vpdpbusd.512", ir.VectorType(_INT32, 16)
    for operand in (ir.VectorType(ir.IntType(8), 64), sums):
        if _is_known(sums, name, (sums, operand, operand)):
            return _Instruction(name, 16, 4, operand, adds=True, most_vectors=6)
    return None


def _vpmaddwd() -> _Instruction | None:
    name, operand = "llvm.x86.avx2.pmadd.wd", ir.VectorType(ir.IntType(16), 16)
    known = _is_known(ir.VectorType(_INT32, 8), name, (operand, operand))
    return _Instruction(name, 8, 2, operand, adds=False, most_vectors=2) if known else None


def _is_known(result: Any, name: str, operands: tuple[Any, ...]) -> bool:
    """Whether this LLVM has such an instruction."""
    given = ", ".join(f"{operand} %a{index}" for index, operand in enumerate(operands))
    try:
        llvmlite.binding.parse_assembly(
            f"declare {result} @{name}({', '.join(map(str, operands))})\n"
            f"define {result} @f({given}) {{\n%r = call {result} @{name}({given})\nret {result} %r }}"
        ).verify()
    except RuntimeError:
        return False
    return True


def _instruction() -> _Instruction | None:
    """The best of the processor that numba compiles for; None: the plain loop."""
    config: Any = numba.config
    if config.CPU_NAME or config.CPU_FEATURES:
        return _vpmaddwd() if config.CPU_NAME in _AVX2_PROCESSORS else None
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512vnni") and features.get("avx512f") and (vpdpbusd := _vpdpbusd()):
        return vpdpbusd
    return _vpmaddwd() if features.get("avx2") else None


INSTRUCTION = _instruction()
PACKED = INSTRUCTION is not None
LANES = INSTRUCTION.lanes if INSTRUCTION else 16
COLUMNS = INSTRUCTION.columns if INSTRUCTION else 4
_STEP = LANES * COLUMNS
_CACHE_LINE = 64
_GROUP = np.uint32 if COLUMNS == 4 else np.uint16  # the bytes of a lane
_OFFSETS = 0x80808080 if COLUMNS == 4 else 0x8080
_WIDE = PACKED and COLUMNS == 2  # vectors are wanted as 16-bit numbers
_MOST_VECTORS = INSTRUCTION.most_vectors if INSTRUCTION else 1


def padded(size: int, to: int) -> int:
    """The next multiple of `to`."""
    return -(-size // to) * to


def pack(matrix: NDArray[np.int8]) -> NDArray[np.uint8]:
    """A copy [..., R, K] with 128 added, R and K filled up with zeros to whole lanes and columns, in the order used."""
    *before, R, K = matrix.shape
    result = packed_zeros(matrix.shape)
    wide = np.full(result.shape, OFFSET, dtype=np.uint8)
    wide[..., :R, :K] = matrix.view(np.uint8) ^ OFFSET
    if PACKED:
        rows, columns = result.shape[-2:]
        wide = wide.reshape(*before, rows // LANES, LANES, columns // COLUMNS, COLUMNS).swapaxes(-3, -2)
    result[...] = wide.reshape(result.shape)
    return result


def packed_zeros(shape: tuple[int, ...], offset: int = OFFSET) -> NDArray[np.uint8]:
    """A packed matrix [..., R, K] of zeros, its first byte at an address that whole cache lines start at."""
    shape = (*shape[:-2], padded(shape[-2], LANES), padded(shape[-1], COLUMNS))
    size = int(np.prod(shape))
    whole = np.full(size + _CACHE_LINE, offset, dtype=np.uint8)
    begin = -whole.ctypes.data % _CACHE_LINE
    return whole[begin : begin + size].reshape(shape)


@uncounted
def put_row(matrix_RK: NDArray[np.uint8], row: Whole, values_K: NDArray[np.int8]) -> None:
    """Sets a row of a packed matrix; as many values as it has columns."""
    flat, K = matrix_RK.reshape(matrix_RK.size), matrix_RK.shape[1]
    if PACKED:
        to, groups = flat.view(_GROUP), values_K.view(_GROUP)
        begin = row // LANES * (LANES * K // COLUMNS) + row % LANES
        for group in range(len(groups)):
            to[np.uint64(begin + group * LANES)] = groups[group] ^ _GROUP(_OFFSETS)
    else:
        for k in range(K):
            flat[row * K + k] = np.int32(values_K[k]) + OFFSET


@uncounted
def put_column(matrix_RK: NDArray[np.int8], column: Whole, values_R: NDArray[np.int8]) -> None:
    """Sets a column of a packed matrix without offset; as many values as it has rows."""
    flat, K = matrix_RK.reshape(matrix_RK.size), matrix_RK.shape[1]
    if PACKED:
        begin = column // COLUMNS * _STEP + column % COLUMNS
        for block in range(len(values_R) // LANES):
            for lane in range(LANES):
                flat[np.uint64(begin + block * LANES * K + lane * COLUMNS)] = values_R[block * LANES + lane]
    else:
        for r in range(len(values_R)):
            flat[r * K + column] = values_R[r]


def _make_tile(blocks: int, vectors: int, with_offset: bool) -> Any:
    """The sums of `blocks` of rows with `vectors` vectors; a matrix with offset, or vectors without sign."""
    if INSTRUCTION is None:
        return None
    use = INSTRUCTION
    sums_type, operand = ir.VectorType(_INT32, use.lanes), use.operand

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
            factors = [sums_type, operand, operand] if use.adds else [operand, operand]
            product = cgutils.get_or_insert_function(builder.module, ir.FunctionType(sums_type, factors), use.name)

            def at(base: Any, index: Any, stride: Any) -> Any:
                index, stride = (ir.Constant(base.type, v) if isinstance(v, int) else v for v in (index, stride))
                return builder.add(base, builder.mul(index, stride))

            def load(address: Any, kind: Any) -> Any:
                return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)

            def in_all_lanes(address: Any) -> Any:
                none = ir.Constant(sums_type, ir.Undefined)
                first = builder.insert_element(none, load(address, _INT32), ir.Constant(_INT32, 0))
                return builder.shuffle_vector(first, none, ir.Constant(sums_type, [0] * use.lanes))

            def load_rows(address: Any) -> Any:
                if use.adds:
                    return load(address, operand)
                rows = load(address, ir.VectorType(ir.IntType(8), _STEP))
                return builder.zext(rows, operand) if with_offset else builder.sext(rows, operand)

            def add_products(total: Any, rows: Any, columns: Any) -> Any:
                if not use.adds:
                    return builder.add(total, builder.call(product, [rows, columns]))
                return builder.call(product, [total, rows, columns] if with_offset else [total, columns, rows])

            zero = ir.Constant(sums_type, [0] * use.lanes)
            sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(blocks)]
            with cgutils.for_range(builder, steps) as loop:
                rows = [load_rows(at(at(matrix, i, block_stride), loop.index, _STEP)) for i in range(blocks)]
                for j in range(vectors):
                    columns = builder.bitcast(in_all_lanes(at(at(x, j, x_stride), loop.index, 4)), operand)
                    for i in range(blocks):
                        builder.store(add_products(builder.load(sums[i][j]), rows[i], columns), sums[i][j])
            for j in range(vectors):
                taken_off = in_all_lanes(at(offsets, j, 4)) if with_offset else zero
                for i in range(blocks):
                    address = at(at(out, j, out_stride), i, 4 * use.lanes)
                    total = builder.sub(builder.load(sums[i][j]), taken_off)
                    builder.store(total, builder.inttoptr(address, sums_type.as_pointer()), align=1)
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
    wide_BK: NDArray[np.int16]  # the vectors in 16 bits, where there is no VPDPBUSD


def new_product_scratch(vectors: int, columns: int) -> ProductScratch:
    return ProductScratch(np.zeros(vectors, dtype=np.int32), np.zeros((max(vectors, 2), columns), dtype=np.int16))


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
    """Rows `begin` to `end`, whole blocks, of a packed matrix times the first vectors, into columns of out_BR.

    x_BK has as many columns as the packed matrix. |sums| below 2^31 is the caller's care.
    """
    K = matrix_RK.shape[1]
    taken_off_B, wide_BK = scratch.taken_off_B, scratch.wide_BK
    for b in range(vectors):
        total = np.int32(0)
        for k in range(K):
            total = np.int32(total + np.int32(x_BK[b, k]))
        taken_off_B[b] = np.int32(OFFSET) * total
        if _WIDE or not PACKED:
            for k in range(K):
                wide_BK[b, k] = x_BK[b, k]
    if PACKED:
        matrix, out, off = matrix_RK.ctypes.data, out_BR.ctypes.data, taken_off_B.ctypes.data
        x, x_stride = (wide_BK.ctypes.data, 2 * wide_BK.shape[1]) if _WIDE else (x_BK.ctypes.data, K)
        steps, stride, out_stride = K // COLUMNS, LANES * K, 4 * out_BR.shape[1]
        row = begin
        while row < end:
            tall = row + _BLOCKS * LANES <= end
            rows = matrix + row * K
            b = 0
            while b < vectors:
                at_x, at_out, at_off = x + b * x_stride, out + b * out_stride + 4 * row, off + 4 * b
                most = min(vectors - b, _MOST_VECTORS)
                if tall and most >= 6:
                    _tile_4x6(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 6
                elif tall and most >= 4:
                    _tile_4x4(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 4
                elif tall and most == 3:
                    _tile_4x3(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 3
                elif tall and most == 2:
                    _tile_4x2(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 2
                elif tall:
                    _tile_4x1(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 1
                elif vectors - b >= 4:
                    _tile_1x4(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 4
                else:
                    _tile_1x1(rows, stride, steps, at_x, x_stride, at_out, out_stride, at_off)
                    b += 1
            row += _BLOCKS * LANES if tall else LANES
    else:
        for b in range(vectors):
            wide_K = wide_BK[b]
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
    wide_2K = scratch.wide_BK
    if _WIDE or not PACKED:
        for digit in range(2):
            for k in range(begin, end):
                wide_2K[digit, k] = x_2K[digit, k]
    if PACKED:
        matrix, out = matrix_RK.ctypes.data, out_2R.ctypes.data
        x, x_stride = (wide_2K.ctypes.data, 2 * wide_2K.shape[1]) if _WIDE else (x_2K.ctypes.data, x_2K.shape[1])
        x += begin * 4 // COLUMNS
        steps, stride, out_stride = (end - begin) // COLUMNS, LANES * K, 4 * out_2R.shape[1]
        row = 0
        while row < R:
            rows, at_out = matrix + row * K + begin * LANES, out + 4 * row
            if row + _BLOCKS * LANES <= R:
                _digits_4(rows, stride, steps, x, x_stride, at_out, out_stride, matrix)
                row += _BLOCKS * LANES
            else:
                _digits_1(rows, stride, steps, x, x_stride, at_out, out_stride, matrix)
                row += LANES
    else:
        for digit in range(2):
            wide_K = wide_2K[digit]
            for row in range(R):
                total = np.int32(0)
                for k in range(begin, end):
                    total = np.int32(total + np.int32(matrix_RK[row, k]) * np.int32(wide_K[k]))
                out_2R[digit, row] = total
