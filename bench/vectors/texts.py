"""Vectors of other numbers of dims than one has a model for, derived from texts: latent semantic analysis.

S. Deerwester et al. 1990: counts of words, weighted by how rare these are, on the axes of a truncated singular value
decomposition. No embedding model makes vectors like these; they share with its vectors that they have norm 1, that few
directions hold most of what they say, and that neighbours are about the same things.

Suffixes of arrays: T texts, W words (by hash), D dims.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]

WORDS = 8_192
"""Hashes of words and of pairs of words are counted modulo this."""

_OVERSAMPLED, _PASSES = 32, 2
"""Of the randomised decomposition: N. Halko et al. 2011."""


def embeddings(training: Sequence[str], measured: Sequence[str], dims: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Vectors of norm 1, [T, D] of both: the axes are those of the training texts, at least dims + 32 of them.

    Texts without words are left out, and of equal ones all but the first, as a vector that is stored twice says
    nothing. Raises ValueError where too few remain.
    """
    seen: set[str] = set()
    train_TW, measured_TW = _counts(training, seen), _counts(measured, seen)
    if len(train_TW) < dims + _OVERSAMPLED:
        raise ValueError(f"{len(train_TW)} different texts to learn from are too few for {dims} dims")
    rarity_W = np.log(len(train_TW) / (1 + (train_TW > 0).sum(axis=0, dtype=np.float32))).clip(min=0)
    weighted = [_unit(np.log1p(counts) * rarity_W) for counts in (train_TW, measured_TW)]
    axes_WD = _axes(weighted[0], dims, np.random.default_rng(seed))
    train_TD, measured_TD = (_unit(x_TW @ axes_WD) for x_TW in weighted)
    return train_TD, measured_TD


def _counts(texts: Sequence[str], seen: set[str]) -> Floats:
    """[T, W] of those texts that have words and were not seen before."""
    rows = []
    for text in texts:
        if text in seen:
            continue
        seen.add(text)
        words = re.findall(r"\w+", text.lower())
        row = np.zeros(WORDS, np.float32)
        for word, count in Counter([*words, *map(" ".join, pairwise(words))]).items():
            row[zlib.crc32(word.encode()) % WORDS] += count
        if words:
            rows.append(row)
    return np.array(rows) if rows else np.zeros((0, WORDS), np.float32)


def _unit(x: npt.NDArray[Any]) -> Floats:
    """Rows of norm 1; those of zeros are left out."""
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    found: Floats = (x / np.maximum(norm, 1e-30))[norm[:, 0] > 0].astype(np.float32)
    return found


def _axes(x_TW: Floats, dims: int, rng: np.random.Generator) -> Floats:
    """[W, D]: the first right singular vectors."""
    found = x_TW @ rng.standard_normal((x_TW.shape[1], dims + _OVERSAMPLED), dtype=np.float32)
    for _ in range(_PASSES):
        basis = np.linalg.qr(found)[0]
        found = x_TW @ np.linalg.qr(x_TW.T @ basis)[0]
    within = np.linalg.qr(found)[0].T @ x_TW
    strength, turned = np.linalg.eigh(within @ within.T)
    axes: Floats = (within.T @ turned / np.sqrt(np.maximum(strength, 1e-20)))[:, ::-1][:, :dims]
    return axes
