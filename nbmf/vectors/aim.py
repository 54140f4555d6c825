"""What a vector may lose, and how bodies begin."""

from __future__ import annotations

from dataclasses import dataclass

from nbmf.errors import CorruptBlob

TYPES = ("float16", "float32", "float64", "bfloat16")
"""Of numbers; a type's number, which is part of the format, is its place. The same as in nbmf.arrays."""

LEAST_DIMS, MOST_DIMS = 8, 65_536
"""Vectors that can be coded."""

LEAST_DIMS_IN_JSON = 64
"""Of an array in JSON that fidelity "semantic" may change: shorter ones are coordinates and series."""

USUAL_STEP, FINEST_STEP = 37, 127
"""Of quantisation, sixteen to an octave: the one at which a rotated vector comes back with a cosine of .995."""

UNIT_BITS = {"float16": 11, "float32": 18, "float64": 18, "bfloat16": 8}
"""A norm that is off 1 by 2^-bits at most is taken for 1: what rounding to the type leaves of it."""


@dataclass(frozen=True, slots=True)
class Aim:
    """How closely vectors are kept.

    least_cosine: floor of the cosine of each vector with what it decodes to (above 0, below 1). One that falls below it
    is quantised more finely; one that does so at the finest step is kept whole. step: of quantisation, 0 (coarse) to
    127; 16 more halve the error. rate_weight: the squared half-steps of error that a bit is worth.
    """

    least_cosine: float = 0.98
    step: int = USUAL_STEP
    rate_weight: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.least_cosine < 1:
            raise ValueError(f"least_cosine is above 0 and below 1, not {self.least_cosine!r}")
        if not 0 <= self.step <= FINEST_STEP:
            raise ValueError(f"step is 0 to {FINEST_STEP}, not {self.step!r}")
        if not 0 <= self.rate_weight <= 10:
            raise ValueError(f"rate_weight is 0 to 10, not {self.rate_weight!r}")


DEFAULT_AIM = Aim()
"""How closely semantic fidelity keeps vectors."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Cosines of vectors with what they decode to; `whole`: how many of them are kept whole (their cosine is 1)."""

    vectors: int
    whole: int
    mean: float
    least: float


def type_and_flags(body: bytes) -> tuple[str, int | None]:
    """The numbers' type in a body, and the byte that its writer kept with it. Raises CorruptBlob."""
    if len(body) < 2:
        raise CorruptBlob("a vector without a head")
    return TYPES[body[0] & 3], body[1] if body[0] & 8 else None
