"""Counts of token sequences in the training records: a predictor of table look-ups (nbmf/_core/counts.h), no network.

Sequences of 1 to LENGTHS tokens in a trie, each below the one without its last token; the last
tokens that follow one context stand side by side, sorted. A prediction interpolates the contexts
of 1 to LENGTHS - 1 tokens, longest first, each with absolute discounting and a weight of the
shorter one that grows with the number of distinct followers (Witten & Bell 1991, Ney et al. 1994).

Shape suffixes: N sequences, C sequences that have followers (all but the longest), O contexts
(by length), V vocabulary.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf._core import CONTEXTS
from nbmf.neural.vocabulary import Vocabulary

LENGTHS = CONTEXTS + 1


class Counts(NamedTuple):
    """The trie, flat: sequences of one token first, then those of two, and so on. A token's id is its number."""

    token_N: NDArray[np.uint16]  # last token
    code_N: NDArray[np.uint8]  # of its count
    count_of_code: NDArray[np.float64]
    followers_C: NDArray[np.uint16]  # how many; they stand in the order of what they follow
    vocab_size: int
    discount_O: NDArray[np.float64]
    spread_O: NDArray[np.float64]  # times distinct followers: weight of the shorter context
    spread_floor_O: NDArray[np.float64]
    n_clusters: int = 0  # of the vocabulary
    cluster_size: int = 0

    @property
    def vocabulary(self) -> Vocabulary:
        """Its sizes."""
        return Vocabulary(self.vocab_size, self.n_clusters, self.cluster_size)

    def first(self) -> NDArray[np.int64]:
        """[C + 1] Where the followers of each begin; they end where the next one's begin."""
        single = len(self.token_N) - int(self.followers_C.sum(dtype=np.int64))
        return single + np.concatenate([[0], np.cumsum(self.followers_C, dtype=np.int64)])
