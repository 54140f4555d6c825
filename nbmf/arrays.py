"""Float arrays as bytes: one header byte (dtype, dimensions), the shape, the numbers little-endian."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

from nbmf import varint
from nbmf.errors import CorruptBlob, UnsupportedPayload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.floating[Any]]

_DTYPES = ("<f2", "<f4", "<f8")
_MAX_DIMENSIONS = 8
_MAX_ELEMENTS = 2**48


def is_array(value: object) -> TypeGuard[FloatArray]:
    """Whether `value` is a numpy array; numpy is not imported to find out."""
    # getattr: another thread may be in the middle of importing it.
    return type(value) is getattr(sys.modules.get("numpy"), "ndarray", None)


def to_bytes(array: FloatArray) -> bytes:
    """Canonical bytes: header byte = dtype code | dimensions << 4; the shape, unless it is a vector; the numbers.

    Raises UnsupportedPayload for other dtypes than little-endian float16, float32, float64.
    """
    name = array.dtype.str
    if name not in _DTYPES:
        raise UnsupportedPayload(
            "$", f"array of dtype {array.dtype} (only little-endian float16, float32, float64: convert with .astype)"
        )
    if not 1 <= array.ndim <= _MAX_DIMENSIONS:
        raise UnsupportedPayload("$", f"array of {array.ndim} dimensions (1 to {_MAX_DIMENSIONS} are supported)")
    if max(array.shape) > _MAX_ELEMENTS:
        raise UnsupportedPayload("$", f"array of shape {array.shape} (at most {_MAX_ELEMENTS} along a dimension)")
    head = bytes([_DTYPES.index(name) | array.ndim << 4])
    # A vector's length follows from its bytes, so it costs nothing.
    shape = b"" if array.ndim == 1 else b"".join(varint.to_bytes(n) for n in array.shape)
    return head + shape + array.tobytes()


def split(canonical: bytes) -> tuple[str, tuple[int, ...], int]:
    """(dtype, shape, offset of the numbers) of canonical array bytes. Raises CorruptBlob."""
    if not canonical:
        raise CorruptBlob("array without a header")
    code, dimensions = canonical[0] & 15, canonical[0] >> 4
    if code >= len(_DTYPES) or not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise CorruptBlob(f"array header {canonical[0]:#04x} names no known dtype and dimensions")
    dtype = _DTYPES[code]
    itemsize = int(dtype[2])
    at = 1
    if dimensions == 1:
        shape: tuple[int, ...] = ((len(canonical) - at) // itemsize,)
    else:
        sizes = []
        for _ in range(dimensions):
            size, at = varint.read(canonical, at)
            sizes.append(size)
        shape = tuple(sizes)
    if max(shape) > _MAX_ELEMENTS or math.prod(shape) * itemsize != len(canonical) - at:
        raise CorruptBlob(f"array of shape {shape} does not fit its {len(canonical) - at} bytes")
    return dtype, shape, at


def from_bytes(canonical: bytes) -> FloatArray:
    """The array, writable and owning its memory. Raises CorruptBlob."""
    import numpy as np

    dtype, shape, at = split(canonical)
    try:
        array: FloatArray = np.frombuffer(canonical, dtype=dtype, offset=at).reshape(shape).copy()
    except ValueError as error:  # an empty array whose other dimensions are beyond what numpy holds
        raise CorruptBlob(f"array of shape {shape}: {error}") from error
    return array
