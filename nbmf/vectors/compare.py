"""What semantic fidelity did to a record: its vectors beside those that come back, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nbmf.vectors.aim import LEAST_DIMS_IN_JSON


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
