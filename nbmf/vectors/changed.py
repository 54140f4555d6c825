"""What semantic fidelity made of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Changed(NamedTuple):
    """The vectors of a record that are others in its blob: how many, and their cosines with those that come back.

    `lossless_bytes`: of the smallest blob that would have kept them.
    """

    vectors: int
    cosine_mean: float
    cosine_min: float
    lossless_bytes: int


class Coded(NamedTuple):
    """A blob; and what it changed, None where it decodes to what was encoded."""

    blob: bytes
    changed: Changed | None = None


def changed(cosines: Sequence[float], lossless_bytes: int) -> Changed:
    """Of vectors with these cosines, one at least."""
    return Changed(len(cosines), sum(cosines) / len(cosines), min(cosines), lossless_bytes)
