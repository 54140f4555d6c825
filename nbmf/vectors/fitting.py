"""A transform for vectors like those that are given: their principal components, and what to expect of each.

Suffixes of arrays: N vectors, D dims, L latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nbmf import _core

if TYPE_CHECKING:
    Floats = npt.NDArray[np.float64]

FOLDS = 4
_ONE, _MEAN_ONE = 1 << 15, 1 << 30
_OCTAVE = 256
_LOWEST_LEVEL = -8 * _OCTAVE
_LEAST_VARIANCE = 1e-12
_CHECKED = 2_000
"""Vectors of each fold that a step is tried on."""


@dataclass(frozen=True, slots=True)
class Transform:
    """In integers, as it is kept: the same everywhere.

    forward_LD: int16, orthonormal rows in 2^-15. mean_D: int32, of vectors of norm 1, in 2^-30. level_L: int32,
    logarithms to base 2 of the latents' standard deviations times sqrt(D), in 1/256. step_offset: int32 [1], what is
    added to the logarithm of all steps.
    """

    forward_LD: npt.NDArray[np.int16]
    mean_D: npt.NDArray[np.int32]
    level_L: npt.NDArray[np.int32]
    step_offset: npt.NDArray[np.int32]

    def space(self) -> _core.VectorSpace:
        """Raises ValueError where the arrays are no transform."""
        return _core.VectorSpace(self.mean_D.size, {name: getattr(self, name) for name in self.__slots__})


def directions(vectors: npt.NDArray[np.floating]) -> Floats:
    """Those [N, D] of them that have a direction, made to have norm 1."""
    x_ND = np.asarray(vectors, dtype=np.float64)
    if x_ND.ndim != 2:
        raise ValueError(f"vectors are rows of a matrix, not an array of shape {x_ND.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        norm_N = np.sqrt((x_ND * x_ND).sum(axis=1))
    good_N = np.isfinite(norm_N) & (norm_N > 0)
    found_ND: Floats = x_ND[good_N] / norm_N[good_N, None]
    return found_ND


def fit(
    x_ND: Floats, latents: int, seed: int, cosine_at: Callable[[Transform, Floats], float], aim: float
) -> Transform:
    """The transform with which vectors that it was not fitted on keep a cosine of `aim` in the mean.

    `cosine_at`: that mean, of vectors coded with a transform. Where `latents` are too few for the aim, that of the
    finest step that can be fitted.
    """
    folds = [*_folds(x_ND, seed)]
    variance_L = np.zeros(latents)
    parts = []
    for fitted_ND, kept_ND in folds:
        mean_D, axes_LD = _principal(fitted_ND, latents)
        variance = ((kept_ND - mean_D) @ axes_LD.T) ** 2
        variance_L += variance.mean(axis=0) / len(folds)
        parts.append((mean_D, axes_LD, kept_ND[:_CHECKED]))
    low, high = -_OCTAVE, _OCTAVE  # coarser with the offset
    while low < high:
        offset = (low + high + 1) // 2
        cosines = [cosine_at(_integers(mean, axes, variance_L, offset), kept) for mean, axes, kept in parts]
        if np.mean(cosines) >= aim:
            low = offset
        else:
            high = offset - 1
    return _integers(*_principal(x_ND, latents), variance_L, low)


def _folds(x_ND: Floats, seed: int) -> Iterator[tuple[Floats, Floats]]:
    order = np.random.default_rng(seed).permutation(len(x_ND))
    for fold in range(FOLDS):
        kept = np.arange(len(order)) % FOLDS == fold
        yield x_ND[order[~kept]], x_ND[order[kept]]


def _principal(x_ND: Floats, latents: int) -> tuple[Floats, Floats]:
    mean_D = x_ND.mean(axis=0)
    centred_ND = x_ND - mean_D
    _, axes_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    return mean_D, axes_DD[:, ::-1][:, :latents].T


def _integers(mean_D: Floats, axes_LD: Floats, variance_L: Floats, offset: int) -> Transform:
    deviation_L = np.sqrt(np.maximum(variance_L, _LEAST_VARIANCE) * mean_D.size)
    level_L = np.maximum(np.rint(_OCTAVE * np.log2(deviation_L)), _LOWEST_LEVEL)
    return Transform(
        forward_LD=np.ascontiguousarray(np.clip(np.rint(axes_LD * _ONE), 1 - _ONE, _ONE - 1).astype(np.int16)),
        mean_D=np.rint(mean_D * _MEAN_ONE).astype(np.int32),
        level_L=level_L.astype(np.int32),
        step_offset=np.array([offset], dtype=np.int32),
    )
