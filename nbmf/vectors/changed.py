"""What semantic fidelity made of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_COSINE_DIGITS = 6


class Changed(NamedTuple):
    """The vectors of a record that are others in its blob: how many, and their cosines with those that come back.

    `lossless_bytes`: of the smallest blob that would have kept them; None of a service, which does not tell.
    """

    vectors: int
    cosine_mean: float
    cosine_min: float
    lossless_bytes: int | None = None

    def similarity(self) -> dict[str, float]:
        """For JSON: `vectors`, `cosine_mean` and `cosine_min`."""
        mean, least = round(self.cosine_mean, _COSINE_DIGITS), round(self.cosine_min, _COSINE_DIGITS)
        return {"vectors": self.vectors, "cosine_mean": mean, "cosine_min": least}


class Coded(NamedTuple):
    """A blob; and what it changed, None where it decodes to what was encoded."""

    blob: bytes
    changed: Changed | None = None


def changed(cosines: Sequence[float], lossless_bytes: int) -> Changed:
    """Of vectors with these cosines, one at least."""
    return Changed(len(cosines), sum(cosines) / len(cosines), min(cosines), lossless_bytes)
