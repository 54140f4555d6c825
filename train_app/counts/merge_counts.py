"""Counts that were learnt before and a user's own, in one trie.

Shape suffixes as in count.py; those of one length stand in the order of their contexts.
"""

from __future__ import annotations

import numpy as np

from nbmf._core import EXTRA_TOKENS
from nbmf.neural.counts import LENGTHS, Counts
from train_app.adaptation.adaptation_facts import Facts
from train_app.adaptation.counts_facts import counts_objective
from train_app.counts.count import Level, counts_of

_WEIGHTS = (1, 3, 10, 30)


def best_merger(base: Counts, own: Counts, facts: Facts) -> Counts:
    """What predicts the facts' records best, by how much a count of `own` is worth."""
    merged = [merge(base, own, weight) for weight in _WEIGHTS]
    return min(merged, key=lambda counts: counts_objective(counts, facts))


def merge(base: Counts, own: Counts, weight: int) -> Counts:
    """All sequences of both, of one vocabulary; a count of `own` is worth `weight` of the base's.

    Discounts and spreads are the base's.
    """
    width = base.vocab_size + EXTRA_TOKENS
    levels: list[Level] = []
    index = [np.zeros(width, dtype=np.int64)] * 2  # of each one's sequences of the length before, among those of both
    for of_base, of_own in zip(levels_of(base), levels_of(own), strict=True):
        keys = [
            part[level.context_N] * width + level.token_N for part, level in zip(index, (of_base, of_own), strict=True)
        ]
        key_N, which = np.unique(np.concatenate(keys), return_inverse=True)
        counts = np.concatenate((of_base.count_N, weight * of_own.count_N))
        count_N = np.bincount(which, counts, minlength=len(key_N)).astype(np.int64)
        levels.append(Level(key_N % width, count_N, key_N // width))
        index = np.split(which, [len(of_base.token_N)])
    found = counts_of(levels, base.vocabulary)
    return found._replace(**{name: getattr(base, name) for name in ("discount_O", "spread_O", "spread_floor_O")})


def levels_of(counts: Counts) -> list[Level]:
    """Its sequences by length."""
    first_C, count_N = counts.first(), counts.count_of_code[counts.code_N].astype(np.int64)
    single = int(first_C[0])
    levels = [Level(np.arange(single), count_N[:single], np.zeros(single, dtype=np.int64))]
    begin, end = 0, single  # of the contexts
    for _ in range(1, LENGTHS):
        nodes = slice(int(first_C[begin]), int(first_C[end]))
        context_N = np.repeat(np.arange(end - begin), counts.followers_C[begin:end])
        levels.append(Level(counts.token_N[nodes].astype(np.int64), count_N[nodes], context_N))
        begin, end = end, int(first_C[end])
    return levels
