"""Arrays as bytes: a header (type, dimensions, shape), and the numbers, little-endian, last dimension fastest.

numpy arrays of floats, integers and booleans, bfloat16 (of ml_dtypes), and PyTorch tensors on the CPU. Neither library
is loaded to tell what a value is; PyTorch and ml_dtypes only to make an array that is theirs.
"""

from __future__ import annotations

import importlib
import io
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from nbmf import varint
from nbmf.errors import CorruptBlob, MissingLibrary, UnsupportedPayload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[np.generic]

TYPES = (
    *("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool"),
)
"""Names of the types, as numpy and PyTorch have them; a type's number, which is part of the format, is its place."""

_ITEM_BYTES = (2, 4, 8, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1)
_EXTENDED = 15
_BIG_ENDIAN, _TENSOR = 16, 32
"""Flags of the second header byte, which an extended header has, beside the type's number."""
_MAX_DIMENSIONS = 8
MAX_ELEMENTS = 2**48
_REMEDIES = {"numpy": "'nbmf[array]'"}


@dataclass(frozen=True, slots=True)
class Form:
    """What an array is but for its numbers. `big_endian`: its numbers are in memory; here they never are.

    `tensor`: it is PyTorch's, not numpy's.
    """

    type: str
    shape: tuple[int, ...]
    big_endian: bool = False
    tensor: bool = False

    @property
    def item_bytes(self) -> int:
        """Of one number."""
        return _ITEM_BYTES[TYPES.index(self.type)]

    @property
    def numbers_bytes(self) -> int:
        """Of all of them."""
        return math.prod(self.shape) * self.item_bytes

    def header(self) -> bytes:
        """The canonical bytes before the numbers."""
        number, dimensions = TYPES.index(self.type), len(self.shape) << 4
        flags = self.big_endian * _BIG_ENDIAN | self.tensor * _TENSOR
        head = bytes([_EXTENDED | dimensions, number | flags]) if flags else bytes([number | dimensions])
        # A vector's length follows from its bytes, so it costs nothing.
        return head if len(self.shape) == 1 else head + b"".join(map(varint.to_bytes, self.shape))


def is_array(value: object) -> TypeGuard[Array]:
    """Whether `value` is a numpy array or a PyTorch tensor; neither is imported to find out."""
    return _is_numpy(value) or _is_tensor(value)


def _is_numpy(value: object) -> bool:
    # getattr: another thread may be in the middle of importing it.
    return type(value) is getattr(sys.modules.get("numpy"), "ndarray", None)


def _is_tensor(value: object) -> bool:
    return type(value) is getattr(sys.modules.get("torch"), "Tensor", None)


def to_bytes(array: Array) -> bytes:
    """Canonical bytes: the header, then the numbers.

    Raises UnsupportedPayload for types that are not in TYPES, more than 8 dimensions, and tensors that are on another
    device, sparse, or part of a gradient's computation.
    """
    form, numbers = _of_tensor(array) if _is_tensor(array) else _of_numpy(array)
    if len(form.shape) > _MAX_DIMENSIONS:
        raise UnsupportedPayload("$", f"array of {len(form.shape)} dimensions (at most {_MAX_DIMENSIONS})")
    if max(form.shape, default=0) > MAX_ELEMENTS:
        raise UnsupportedPayload("$", f"array of shape {form.shape} (at most {MAX_ELEMENTS} along a dimension)")
    return form.header() + numbers


def _of_numpy(array: Array) -> tuple[Form, bytes]:
    dtype = array.dtype
    if dtype.name not in TYPES:
        raise UnsupportedPayload("$", f"array of dtype {dtype} (only {', '.join(TYPES)}: convert with .astype)")
    # What has one byte has no order; numpy says "=" for the machine's own.
    big_endian = dtype.byteorder == ">" or (dtype.byteorder == "=" and sys.byteorder == "big")
    return Form(dtype.name, array.shape, big_endian), (array.byteswap() if big_endian else array).tobytes()


def _of_tensor(tensor: Any) -> tuple[Form, bytes]:
    import torch

    name = str(tensor.dtype).removeprefix("torch.")
    if name not in TYPES:
        raise UnsupportedPayload("$", f"tensor of dtype {tensor.dtype} (only {', '.join(TYPES)}: convert with .to)")
    if tensor.layout is not torch.strided:
        raise UnsupportedPayload("$", f"tensor of layout {tensor.layout} (convert with .to_dense())")
    if tensor.device.type != "cpu":
        raise UnsupportedPayload("$", f"tensor on device {tensor.device} (move it with .cpu())")
    if tensor.requires_grad:
        raise UnsupportedPayload("$", "tensor that requires a gradient, which would be lost (take it with .detach())")
    form = Form(name, tuple(tensor.shape), tensor=True)
    octets = tensor.resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy()
    return form, _little_endian(octets.tobytes(), form.item_bytes)


def split(canonical: bytes) -> tuple[Form, int]:
    """The form of canonical array bytes, and where its numbers begin. Raises CorruptBlob."""
    form, at = read_header(canonical, len(canonical))
    if form.numbers_bytes != len(canonical) - at:
        raise CorruptBlob(f"array of shape {form.shape} does not fit its {len(canonical) - at} bytes")
    return form, at


def read_header(head: bytes, canonical_bytes: int) -> tuple[Form, int]:
    """The form that canonical bytes of that length begin with, and the header's own length. Raises CorruptBlob."""
    try:
        code, dimensions, at = head[0] & 15, head[0] >> 4, 1
        flags = 0
        if code == _EXTENDED:
            code, flags, at = head[1] & 15, head[1] & ~15, 2
    except IndexError:
        raise CorruptBlob("array without a header") from None
    known = flags == 0 if at == 1 else flags in (_BIG_ENDIAN, _TENSOR)
    if not known or code >= len(TYPES) or dimensions > _MAX_DIMENSIONS:
        raise CorruptBlob(f"array header {head[:at].hex()} names no known type, dimensions and flags")
    if dimensions == 1:
        shape: tuple[int, ...] = ((canonical_bytes - at) // _ITEM_BYTES[code],)
    else:
        sizes = []
        for _ in range(dimensions):
            size, at = varint.read(head, at)
            sizes.append(size)
        shape = tuple(sizes)
    if max(shape, default=0) > MAX_ELEMENTS:
        raise CorruptBlob(f"array of shape {shape}")
    return Form(TYPES[code], shape, bool(flags & _BIG_ENDIAN), bool(flags & _TENSOR)), at


def from_bytes(canonical: bytes) -> Array:
    """The array, writable and owning its memory. Raises CorruptBlob, MissingLibrary."""
    form, at = split(canonical)
    try:
        return _to_tensor(form, canonical[at:]) if form.tensor else _to_numpy(form, canonical, at)
    except (ValueError, RuntimeError) as error:  # an empty array whose other dimensions are beyond what can be held
        raise CorruptBlob(f"array of shape {form.shape}: {error}") from error


def to_npy(canonical: bytes) -> bytes:
    """A file in numpy's format (.npy); a tensor's numbers are those of an array there.

    Raises CorruptBlob; UnsupportedPayload for bfloat16, which the format has not, and for shapes that numpy has not.
    """
    np = _library("numpy", "numpy's arrays")
    form, at = split(canonical)
    if form.type == "bfloat16":
        raise UnsupportedPayload("$", "an array of bfloat16 cannot be written as .npy; decode it to JSON")
    buffer = io.BytesIO()
    try:
        np.save(buffer, _to_numpy(form, canonical, at))
    except ValueError as error:  # an empty array whose other dimensions are beyond what can be held
        raise UnsupportedPayload("$", f"an array of shape {form.shape} cannot be written as .npy: {error}") from error
    return buffer.getvalue()


def _to_numpy(form: Form, canonical: bytes, at: int) -> Array:
    np = _library("numpy", "numpy's arrays")
    if form.type == "bfloat16":
        native = np.dtype(_library("ml_dtypes", "bfloat16 numbers").bfloat16)
    else:
        native = np.dtype(form.type)
    dtype = native if form.big_endian == (sys.byteorder == "big") else native.newbyteorder()
    array: Array = np.empty(form.shape, dtype)
    numbers = np.frombuffer(canonical, f"u{form.item_bytes}", offset=at).reshape(form.shape)
    array.view(numbers.dtype)[...] = numbers.byteswap() if form.big_endian else numbers
    return array


def _to_tensor(form: Form, numbers: bytes) -> Any:
    torch = _library("torch", "PyTorch's tensors")
    data = bytearray(_little_endian(numbers, form.item_bytes))
    dtype = getattr(torch, form.type)
    tensor = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return tensor.reshape(form.shape)


def _little_endian(numbers: bytes, item_bytes: int) -> bytes:
    """The machine's numbers in that order, or the other way round."""
    if sys.byteorder == "little":
        return numbers
    swapped: bytes = _library("numpy", "numpy's arrays").frombuffer(numbers, f"u{item_bytes}").byteswap().tobytes()
    return swapped


def _library(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingLibrary(
            f"the payload is one of {what}, which need the package {name}: pip install {_REMEDIES.get(name, name)}"
        ) from None
