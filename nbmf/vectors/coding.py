"""Bodies of vectors, by the core; bytes in and out, no numpy."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache

from nbmf import _core
from nbmf.vectors.aim import LEAST_DIMS, MOST_DIMS, TYPES, UNIT_BITS, Aim

ITEM_BYTES = {"float16": 2, "float32": 4, "float64": 8, "bfloat16": 2}


@lru_cache(maxsize=8)
def _built_in(dims: int, cpu: str) -> _core.VectorSpace:
    _core.use(cpu)
    return _core.VectorSpace(dims)


def space_of(dims: int) -> _core.VectorSpace | None:
    """The one without training, by a fixed rotation; None where there is none for so many dims."""
    return _built_in(dims, _core.cpu()) if LEAST_DIMS <= dims <= MOST_DIMS else None


def encode(
    space: _core.VectorSpace,
    numbers: bytes,
    count: int,
    kind: str,
    aim: Aim,
    flags: int | None = None,
    plain: bool = False,
) -> tuple[list[bytes | None], bytearray, array[float]]:
    """Of `count` vectors, little-endian one after the other: bodies, what they decode to, and the cosines between both.

    None in place of a body that would not reach the aim's floor, as that of a vector of zeros or with NaN or infinity.
    `flags` is a byte that bodies keep. `plain`: the latents as float16, without entropy coding; of a fitted space.
    """
    decoded, cosines = bytearray(len(numbers)), array("d", bytes(8 * count))
    bodies = space.encode(
        numbers,
        TYPES.index(kind),
        -1 if flags is None else flags,
        aim.step,
        aim.rate_weight,
        aim.least_cosine,
        UNIT_BITS[kind],
        decoded,
        cosines,
        plain,
    )
    return bodies, decoded, cosines


def decode(
    space: _core.VectorSpace, bodies: Sequence[bytes], dims: int, kind: str, plain: bool = False
) -> tuple[bytearray, list[bool]]:
    """Their numbers, little-endian one after the other, and which bodies are good (of others the numbers are zeros)."""
    decoded = bytearray(len(bodies) * dims * ITEM_BYTES[kind])
    return decoded, space.decode([*bodies], TYPES.index(kind), decoded, plain)
