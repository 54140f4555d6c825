"""Counts of token sequences in the training records: a predictor of table look-ups, no network.

Sequences of 1 to LENGTHS tokens in a trie, each below the one without its last token; the last
tokens that follow one context stand side by side, sorted. A prediction interpolates the contexts
of 1 to LENGTHS - 1 tokens, longest first, each with absolute discounting and a weight of the
shorter one that grows with the number of distinct followers (Witten & Bell 1991, Ney et al. 1994).

Exact by construction, like adaptation.py: one IEEE 754 operation at a time in a fixed order.

Shape suffixes: N sequences, C sequences that have followers (all but the longest), O contexts
(by length), V vocabulary.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.jit import compiled, inlined
from nbmf.neural.scalars import Real, Whole

LENGTHS = 6
CONTEXTS = LENGTHS - 1
SCALE = 1 << 28  # what probability 1 becomes; every token gets at least 1 on top


class Counts(NamedTuple):
    """The trie, flat: sequences of one token first, then those of two, and so on. A token's id is its number."""

    token_N: NDArray[np.uint16]  # last token
    code_N: NDArray[np.uint8]  # of its count
    count_of_code: NDArray[np.float64]
    first_C: NDArray[np.int32]  # its followers begin there, and end where the next sequence's begin
    followed_C: NDArray[np.int32]  # sum of its followers' counts
    unigram_V: NDArray[np.float32]  # probability without context, times SCALE
    discount_O: NDArray[np.float64]
    spread_O: NDArray[np.float64]  # times distinct followers: weight of the shorter context
    spread_floor_O: NDArray[np.float64]


def no_counts() -> Counts:
    """Stands for a version without them."""
    whole, real = np.zeros(0, dtype=np.int32), np.zeros(0)
    return Counts(
        np.zeros(0, dtype=np.uint16), np.zeros(0, dtype=np.uint8), real, whole, whole, np.zeros(0, dtype=np.float32),
        real, real, real,
    )  # fmt: skip


@compiled
def new_contexts() -> NDArray[np.int64]:
    """The sequences of 1 to CONTEXTS tokens that end here, -1 where unknown: at a record's start, all."""
    return np.full(CONTEXTS, -1, dtype=np.int64)


@inlined
def follow(counts: Counts, contexts: NDArray[np.int64], token: Whole) -> None:
    """Take in one token."""
    for length in range(CONTEXTS - 1, 0, -1):
        context = contexts[length - 1]
        contexts[length] = -1
        if context >= 0:
            low, end = counts.first_C[context], counts.first_C[context + 1]
            high = end
            while low < high:
                middle = (low + high) >> 1
                if counts.token_N[middle] < token:
                    low = middle + 1
                else:
                    high = middle
            if low < end and counts.token_N[low] == token:
                contexts[length] = low
    contexts[0] = token


@inlined
def longest_context(counts: Counts, contexts: NDArray[np.int64]) -> int:
    """Length of the longest context that has followers, 0 for none."""
    for length in range(CONTEXTS, 0, -1):
        context = contexts[length - 1]
        if context >= 0 and counts.first_C[context + 1] > counts.first_C[context]:
            return length
    return 0


@inlined
def _level(counts: Counts, order: Whole, context: Whole, weight: Real) -> tuple[Real, Real]:
    """A context that `weight` reaches: what one counted follower is worth, and what is left for shorter contexts."""
    distinct = np.float64(counts.first_C[context + 1] - counts.first_C[context])
    if distinct == 0.0:
        return 0.0, weight
    followed = np.float64(counts.followed_C[context])
    seen = max(counts.count_of_code[counts.code_N[context]], followed)
    whole = seen + counts.spread_O[order] * distinct + counts.spread_floor_O[order]
    given = followed - counts.discount_O[order] * distinct
    return weight * SCALE / whole, weight * ((whole - given) / whole)


@inlined
def fill_from_counts(counts: Counts, contexts: NDArray[np.int64], out_V: NDArray[np.int32]) -> tuple[Whole, Whole]:
    """The next token's frequencies into `out_V`; their sum, and the greatest."""
    weight: Real = 1.0
    for order in range(CONTEXTS - 1, -1, -1):
        if contexts[order] >= 0:
            _, weight = _level(counts, order, contexts[order], weight)
    factor = np.float32(weight)
    for token in range(len(out_V)):
        out_V[token] = np.int32(counts.unigram_V[token] * factor) + 1
    weight = 1.0
    for order in range(CONTEXTS - 1, -1, -1):
        context = contexts[order]
        if context >= 0:
            unit, weight = _level(counts, order, context, weight)
            discount = counts.discount_O[order]
            for node in range(counts.first_C[context], counts.first_C[context + 1]):
                count = counts.count_of_code[counts.code_N[node]] - discount
                out_V[counts.token_N[node]] += np.int32(np.floor(count * unit))
    total, best = np.int64(0), np.int32(0)
    for token in range(len(out_V)):
        total += out_V[token]
        best = max(best, out_V[token])
    return total, best
