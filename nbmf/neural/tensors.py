"""Arrays of a safetensors file, where they stand in it: its own loader copies them, and needs NumPy."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

_TYPES = {
    "BOOL": "?", "I8": "b", "U8": "B", "I16": "h", "U16": "H", "I32": "i", "U32": "I", "I64": "q", "U64": "Q",
    "F32": "f", "F64": "d",
}  # fmt: skip
"""As memoryview and struct name them."""

_HEADER_BYTES = 8  # of the header's length


def views(data: bytes | bytearray) -> tuple[dict[str, memoryview[Any]], dict[str, str]]:
    """(arrays, metadata); arrays can be written to where `data` can. Raises ValueError for other content.

    An array without numbers has one dimension, whatever the file says: memoryview knows no others.
    """
    try:
        begin = _HEADER_BYTES + int.from_bytes(data[:_HEADER_BYTES], "little")
        header = json.loads(bytes(data[_HEADER_BYTES:begin]))
        metadata = header.pop("__metadata__", {})
        arrays = {}
        taken = []
        for name, entry in header.items():
            first, end = entry["data_offsets"]
            flat: Any = memoryview(data)[begin + first : begin + end]
            shape = entry["shape"]
            array = flat.cast(_TYPES[entry["dtype"]])
            if not 0 <= first <= end <= len(data) - begin or array.nbytes != array.itemsize * math.prod(shape):
                raise ValueError(f"{name} is not where the header says")
            arrays[name] = flat.cast(array.format, shape) if len(shape) > 1 and array.nbytes else array
            taken.append((first, end))
        taken.sort()
        if any(end > first for (_, end), (first, _) in pairwise(taken)):  # one changed in place would change another
            raise ValueError("arrays that overlap")
    except (AttributeError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a safetensors file: {error!r}") from error
    return arrays, metadata
