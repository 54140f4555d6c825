"""Records that are nearly the same as others: most of their pieces of eight bytes are, wherever these stand.

The share of pieces in common (Jaccard) is estimated by MinHash, from the smallest hash in each of 96 bins; an empty bin
takes that of the next one (A. Shrivastava, P. Li: Densifying one permutation hashing, 2014). A record is compared with
the first that has the same six bins in a row, for each of sixteen such rows: of pairs with a share of .8, 99 of 100
have one.

Shape suffix: P pieces of a record.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.8
"""Least share of pieces in common."""

_PIECE_BYTES = 8
_BINS, _ROWS = 96, 6
_EMPTY = np.uint64(1 << 32)


def sketch(data: bytes) -> NDArray[np.uint32]:
    """The smallest hash of each bin: equal in as many bins, in the mean, as the share that two records have."""
    octets = np.frombuffer(data.ljust(_PIECE_BYTES, b"\0"), np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(octets, _PIECE_BYTES)
    hashes_P = _mixed(np.ascontiguousarray(windows).view("<u8")[:, 0])
    smallest = np.full(_BINS, _EMPTY)
    bins_P = ((hashes_P >> np.uint64(32)) * np.uint64(_BINS)) >> np.uint64(32)
    np.minimum.at(smallest, bins_P.astype(np.intp), hashes_P & np.uint64(0xFFFFFFFF))
    return _densified(smallest).astype(np.uint32)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of 64 bits (that of splitmix64)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _densified(smallest: NDArray[np.uint64]) -> NDArray[np.uint64]:
    filled = np.flatnonzero(smallest != _EMPTY)
    at = np.arange(_BINS)
    following = filled[np.searchsorted(filled, at) % len(filled)]
    steps = ((following - at) % _BINS).astype(np.uint64)
    return smallest[following] + steps * np.uint64(0x01000193)


class Near:
    """Records that others are compared with; takes some 2 kB of memory a record."""

    def __init__(self) -> None:
        self._sketches: list[NDArray[np.uint32]] = []
        self._first_with: dict[int, int] = {}

    def add(self, own: NDArray[np.uint32]) -> None:
        """A record, by its sketch; numbered from 0."""
        for key in _keys(own):
            self._first_with.setdefault(key, len(self._sketches))
        self._sketches.append(own)

    def find(self, own: NDArray[np.uint32]) -> list[int]:
        """Numbers of records that are near to one of this sketch, the nearest first."""
        found = {self._first_with[key] for key in _keys(own) if key in self._first_with}
        shares = {number: share_of(own, self._sketches[number]) for number in found}
        return sorted((one for one in found if shares[one] >= THRESHOLD), key=lambda one: (-shares[one], one))


def share_of(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """Estimated share of pieces that the records of two sketches have in common."""
    return float(np.mean(one == other))


def _keys(own: NDArray[np.uint32]) -> list[int]:
    return [hash((band, own[band : band + _ROWS].tobytes())) for band in range(0, _BINS, _ROWS)]
