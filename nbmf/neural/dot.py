"""Products of an int8 matrix and an int8 vector, exact, as fast as the processor has them.

The matrix is kept with 128 added, as bytes without sign: x86's VPDPBUSD multiplies bytes without
sign by bytes with sign, four products to a 32-bit lane, and never saturates (its sibling with an S
does). 128 times the vector's sum is taken off again. Where there is no such instruction, a plain
loop gives the same sums.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as numba_cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from nbmf.neural.jit import compiled
from nbmf.neural.scalars import Whole

cgutils: Any = numba_cgutils  # not typed

OFFSET = 128
_LANES = 16
_STEP = 4 * _LANES  # products of one instruction


_SUMS = ir.VectorType(ir.IntType(32), _LANES)
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


def with_offset(matrix: NDArray[np.int8]) -> NDArray[np.uint8]:
    """A copy with 128 added, its first byte at an address that whole cache lines start at."""
    result = aligned(matrix.shape)
    result[...] = (matrix.view(np.uint8)) ^ OFFSET
    return result


def aligned(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Bytes of the value 128, which is 0 with the offset."""
    size = int(np.prod(shape))
    whole = np.full(size + _STEP, OFFSET, dtype=np.uint8)
    begin = -whole.ctypes.data % _STEP
    return whole[begin : begin + size].reshape(shape)


@intrinsic
def _dot_of_steps(_typing: Any, _row: Any, _x: Any, _steps: Any) -> Any:
    """Sum of products of `steps` times 64 bytes at two addresses."""
    signature = types.int32(types.uintp, types.uintp, types.intp)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        row, x, steps = arguments
        dot = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_SUMS, [_SUMS, _OPERAND, _OPERAND]), _INSTRUCTION
        )
        add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(32), [_SUMS]), f"llvm.vector.reduce.add.v{_LANES}i32"
        )
        total = cgutils.alloca_once_value(builder, ir.Constant(_SUMS, [0] * _LANES))
        row, x = (builder.inttoptr(address, _OPERAND.as_pointer()) for address in (row, x))
        with cgutils.for_range(builder, steps) as loop:
            a, b = (builder.load(builder.gep(pointer, [loop.index]), align=1) for pointer in (row, x))
            builder.store(builder.call(dot, [builder.load(total), a, b]), total)
        return builder.call(add, [builder.load(total)])

    return signature, generate


dot_of_steps: Any = _dot_of_steps  # called without the typing context


@compiled
def sum_of(x_K: NDArray[np.int8]) -> np.int32:
    total = np.int32(0)
    for k in range(len(x_K)):
        total = np.int32(total + np.int32(x_K[k]))
    return total


@compiled
def row_products(matrix_RK: NDArray[np.uint8], x_K: NDArray[np.int8], count: Whole, out_R: NDArray[np.int32]) -> None:
    """The first `count` rows of a matrix with offset, times x, into out_R. |sums| below 2^31 is the caller's care."""
    width = len(x_K)
    taken_off = np.int32(OFFSET) * sum_of(x_K)
    if HAS_VNNI:
        steps = width // _STEP
        matrix_address, x_address = matrix_RK.ctypes.data, x_K.ctypes.data
        for row in range(count):
            total = dot_of_steps(matrix_address + row * width, x_address, steps) - taken_off
            for k in range(steps * _STEP, width):
                total += np.int32(matrix_RK[row, k]) * np.int32(x_K[k])
            out_R[row] = total
    else:
        wide_K = np.empty(width, dtype=np.int16)  # both factors in 16 bits: one multiply-add instruction
        for k in range(width):
            wide_K[k] = x_K[k]
        for row in range(count):
            total = np.int32(0)
            for k in range(width):
                total = np.int32(total + np.int32(matrix_RK[row, k]) * np.int32(wide_K[k]))
            out_R[row] = total - taken_off
