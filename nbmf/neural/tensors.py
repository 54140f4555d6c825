"""Arrays of a safetensors file, where they stand in it: its own loader copies them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {
    "BOOL": np.bool_, "I8": np.int8, "U8": np.uint8, "I16": np.int16, "U16": np.uint16, "I32": np.int32,
    "U32": np.uint32, "I64": np.int64, "U64": np.uint64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip
_HEADER_BYTES = 8  # of the header's length


def views(data: bytes | bytearray) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """(arrays, metadata); arrays can be written to where `data` can. Raises ValueError for other content."""
    try:
        begin = _HEADER_BYTES + int.from_bytes(data[:_HEADER_BYTES], "little")
        header = json.loads(bytes(data[_HEADER_BYTES:begin]))
        metadata = header.pop("__metadata__", {})
        arrays = {}
        taken = []
        for name, entry in header.items():
            first, end = entry["data_offsets"]
            dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"]
            size = dtype.itemsize * math.prod(shape)
            if not 0 <= first <= end <= len(data) - begin or end - first != size:
                raise ValueError(f"{name} is not where the header says")
            array = np.frombuffer(data, dtype, (end - first) // dtype.itemsize, begin + first).reshape(shape)
            arrays[name] = array if array.flags.aligned else array.copy()
            taken.append((first, end))
        taken.sort()
        if any(end > first for (_, end), (first, _) in pairwise(taken)):  # one changed in place would change another
            raise ValueError("arrays that overlap")
    except (AttributeError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a safetensors file: {error!r}") from error
    return arrays, metadata
