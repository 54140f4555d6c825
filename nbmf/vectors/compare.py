"""What semantic fidelity did to a record: its vectors beside those that come back, and nothing else."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from nbmf import arrays
from nbmf.payload import Kind, from_canonical
from nbmf.vectors.aim import LEAST_DIMS_IN_JSON, TYPES

COSINE_ERROR = 1e-6
"""What rounding a record's numbers to float32 makes of a cosine, and more."""


def is_near(kind: Kind, given: bytes, decoded: bytes, least_cosine: float) -> bool:
    """Whether two payloads' canonical bytes differ in nothing but vectors, each with a cosine of that at least.

    So a blob that says `semantic` is verified; one that does not has to decode to the same bytes. Raises CorruptBlob
    for bytes that are no payload's.
    """
    found = cosines_of(kind, given, decoded)
    return found is not None and min(found, default=1.0) >= least_cosine - COSINE_ERROR


def cosines_of(kind: Kind, given: bytes, decoded: bytes) -> list[float] | None:
    """As `cosines`, of the canonical bytes of two payloads of one kind, an array's too. Raises CorruptBlob."""
    if given == decoded:
        return []
    if kind is Kind.ARRAY:
        return _of_arrays(given, decoded)
    if kind not in (Kind.JSON, Kind.MESSAGES):
        return None
    return cosines(*(from_canonical(kind, canonical, max_values=len(canonical)) for canonical in (given, decoded)))


def _of_arrays(given: bytes, decoded: bytes) -> list[float] | None:
    form, at = arrays.split(given)
    if given[:at] != decoded[:at] or len(given) != len(decoded) or form.type not in TYPES or len(form.shape) != 1:
        return None
    cosine = _cosine(*(_floats(numbers[at:], form) for numbers in (given, decoded)))
    return None if cosine is None else [cosine]


def _floats(numbers: bytes, form: arrays.Form) -> Sequence[float]:
    count = form.shape[0]
    if form.type != "bfloat16":
        return struct.unpack(f"<{count}{_STRUCT[form.type]}", numbers)
    upper = struct.unpack(f"<{count}H", numbers)  # the upper half of a float32
    return struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *(half << 16 for half in upper)))


_STRUCT = {"float16": "e", "float32": "f", "float64": "d"}


def cosines(given: Any, decoded: Any) -> list[float] | None:
    """Of each vector in a JSON value that is not the same in both; None if anything but vectors differs.

    Vectors are arrays of floats only, of as many as semantic fidelity changes. One that is not finite, or has become so
    small or large that its cosine is not known, differs.
    """
    found: list[float] = []
    pairs = [(given, decoded)]
    while pairs:
        a, b = pairs.pop()
        if type(a) is not type(b):
            return None
        if isinstance(a, dict):
            if list(a) != list(b):
                return None
            pairs += zip(a.values(), b.values(), strict=True)
        elif isinstance(a, list):
            if len(a) != len(b):
                return None
            if len(a) >= LEAST_DIMS_IN_JSON and all(type(x) is float for x in (*a, *b)):
                if list(map(repr, a)) != list(map(repr, b)):
                    cosine = _cosine(a, b)
                    if cosine is None:
                        return None
                    found.append(cosine)
            else:
                pairs += zip(a, b, strict=True)
        elif repr(a) != repr(b):
            return None
    return found


def _cosine(a: Sequence[float], b: Sequence[float]) -> float | None:
    largest = max(map(abs, a)), max(map(abs, b))
    if not all(map(math.isfinite, (*a, *b))) or 0.0 in largest:
        return None
    a, b = ([x / most for x in vector] for vector, most in zip((a, b), largest, strict=True))
    norms = math.sqrt(math.fsum(x * x for x in a) * math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / norms
