"""Static counts from training records: which token sequences occur, in how many records, and which to keep.

A sequence counts once a record: what a record repeats, adaptation learns by itself. Sequences of one record alone are
left out. Of the others those are kept whose loss would cost the most bits for their place (after Stolcke 1998,
"Entropy-based pruning of backoff language models").

Across classes, what counts is use to records of a class that is new: a sequence is worth what it saves in the classes
but the one that has it most, and longer ones that one class alone has are left out: they may be somebody's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf._core import CONTEXTS, EXTRA_TOKENS
from nbmf.neural.counts import LENGTHS, Counts
from nbmf.neural.counts_file import save_counts
from nbmf.neural.vocabulary import Vocabulary
from train_app.samples.tokens import TokenStream

_MIN_RECORDS = 2
_PRIVATE_LENGTH = 2  # longer ones must occur in records of more classes than one
_EXACT_COUNTS = 16  # beyond, counts are rounded to steps of 2 ** 0.25
_RECORD_BITS = 24
_DISCOUNT_IN_SCORE = 0.5
_PRUNING_STEPS = 12
DISCOUNT_O = np.array([0.07, 0.07, 0.3, 0.5, 0.7])
SPREAD_O = np.array([5.0, 11.0, 5.0, 5.0, 3.4])
SPREAD_FLOOR_O = np.array([70.0, 0.05, 0.05, 0.1, 0.1])


@dataclass(frozen=True)
class Sequences:
    """All sequences of one length that occur often enough, sorted by context, then token."""

    token_N: NDArray[np.int64]
    records_N: NDArray[np.int64]  # in how many records
    worth_N: NDArray[np.int64]  # across classes, in how many but those of its commonest class; else in all
    context_N: NDArray[np.int64]  # index of it without its last token, among those one shorter
    suffix_N: NDArray[np.int64]  # index of it without its first token


def count_sequences(stream: TokenStream, vocab_size: int, across_classes: bool = False) -> list[Sequences]:
    """Of 1 to LENGTHS tokens; a record's type id counts as its first token."""
    tokens_T = stream.tokens_N.astype(np.int64)
    records = _Records(stream, across_classes)
    first_T = np.zeros(len(tokens_T), dtype=bool)
    first_T[stream.starts[:-1]] = True
    width = vocab_size + EXTRA_TOKENS
    nothing = np.zeros(width, dtype=np.int64)
    everywhere = np.arange(len(tokens_T))
    levels = [Sequences(np.arange(width), *records.of(tokens_T, everywhere, width), nothing, nothing)]
    ending_T = tokens_T  # index of the sequence that ends at each place, -1 where too rare
    for length in range(2, LENGTHS + 1):
        context_T = np.where(first_T, -1, np.roll(ending_T, 1))
        (known,) = np.nonzero(context_T >= 0)
        keys, which = np.unique(context_T[known] * width + tokens_T[known], return_inverse=True)
        records_N, worth_N = records.of(which, known, len(keys))
        frequent_N = records_N >= _MIN_RECORDS
        if length > _PRIVATE_LENGTH and across_classes:
            frequent_N &= worth_N > 0
        index_N = np.where(frequent_N, np.cumsum(frequent_N) - 1, -1)
        shorter_T, ending_T = ending_T, np.full(len(tokens_T), -1, dtype=np.int64)
        ending_T[known] = index_N[which]
        suffix_N = np.zeros(int(frequent_N.sum()), dtype=np.int64)
        suffix_N[ending_T[ending_T >= 0]] = shorter_T[ending_T >= 0]
        token_N, context_N = keys[frequent_N] % width, keys[frequent_N] // width
        levels.append(Sequences(token_N, records_N[frequent_N], worth_N[frequent_N], context_N, suffix_N))
    return levels


class _Records:
    """Whose token each is: the number of its record, class after class."""

    def __init__(self, stream: TokenStream, across_classes: bool) -> None:
        _, class_R = np.unique(stream.sets, return_inverse=True)
        order_R = np.argsort(class_R, kind="stable")
        rank_R = np.empty(len(order_R), dtype=np.int64)
        rank_R[order_R] = np.arange(len(order_R))
        self._across_classes = across_classes
        self._class_of_rank = class_R[order_R]
        self._record_T = np.repeat(rank_R, np.diff(stream.starts))

    def of(
        self, which_N: NDArray[np.int64], place_N: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """In how many records each of `size` numbers occurs, and of how many its worth is: see Sequences."""
        pairs = (which_N << _RECORD_BITS) | self._record_T[place_N]
        pairs.sort()
        pairs = pairs[np.diff(pairs, prepend=-1) != 0]
        number_P = pairs >> _RECORD_BITS
        records_N = np.bincount(number_P, minlength=size)
        if not self._across_classes:
            return records_N, records_N
        class_P = self._class_of_rank[pairs & ((1 << _RECORD_BITS) - 1)]
        (begin_G,) = np.nonzero((np.diff(number_P, prepend=-1) != 0) | (np.diff(class_P, prepend=-1) != 0))
        most_N = np.zeros(size, dtype=np.int64)
        np.maximum.at(most_N, number_P[begin_G], np.diff(begin_G, append=len(pairs)))
        return records_N, records_N - most_N


def _scores(levels: list[Sequences]) -> list[NDArray[np.float64]]:
    """Bits that each sequence's own probability saves over that of its suffix in the training records."""
    total = levels[0].records_N.sum()
    scores: list[NDArray[np.float64]] = [np.full(len(levels[0].token_N), np.inf)]
    for length in range(1, LENGTHS):
        level, shorter = levels[length], levels[length - 1]
        counted = level.records_N - _DISCOUNT_IN_SCORE
        own = counted / shorter.records_N[level.context_N]
        if length == 1:
            without = shorter.records_N[level.suffix_N] / total
        else:
            context = shorter.context_N[level.suffix_N]
            without = shorter.records_N[level.suffix_N] / levels[length - 2].records_N[context]
        scores.append((level.worth_N - _DISCOUNT_IN_SCORE) * np.log2(own / without))
    return scores


def _kept(levels: list[Sequences], scores: list[NDArray[np.float64]], threshold: float) -> list[NDArray[np.bool_]]:
    """Those above the threshold, and the contexts of what is kept."""
    kept = [score > threshold for score in scores]
    kept[0][:] = True
    for length in range(LENGTHS - 1, 0, -1):
        kept[length - 1][levels[length].context_N[kept[length]]] = True
    return kept


def _build(levels: list[Sequences], kept: list[NDArray[np.bool_]], vocabulary: Vocabulary) -> Counts:
    chosen = [Level(levels[0].token_N, levels[0].records_N, levels[0].context_N)]
    for length in range(1, LENGTHS):
        level, mask = levels[length], kept[length]
        index_C = np.cumsum(kept[length - 1]) - 1
        chosen.append(Level(level.token_N[mask], level.records_N[mask], index_C[level.context_N[mask]]))
    return counts_of(chosen, vocabulary)


class Level(NamedTuple):
    """Sequences of one length, sorted by context, then token."""

    token_N: NDArray[np.int64]
    count_N: NDArray[np.int64]
    context_N: NDArray[np.int64]  # index of it without its last token, among those one shorter


def counts_of(levels: list[Level], vocabulary: Vocabulary) -> Counts:
    """As they are kept, with discounts and spreads that are a start for fitting."""
    followers = [np.bincount(level.context_N, minlength=len(shorter.token_N)) for shorter, level in pairwise(levels)]
    count_of_code = _count_of_code(max(int(level.count_N.max(initial=1)) for level in levels))
    return Counts(
        token_N=np.concatenate([level.token_N for level in levels]).astype(np.uint16),
        code_N=_codes(np.concatenate([level.count_N for level in levels]), count_of_code),
        count_of_code=count_of_code,
        followers_C=np.concatenate(followers).astype(np.uint16),
        vocab_size=vocabulary.vocab_size,
        n_clusters=vocabulary.n_clusters,
        cluster_size=vocabulary.cluster_size,
        discount_O=DISCOUNT_O[:CONTEXTS].copy(),
        spread_O=SPREAD_O[:CONTEXTS].copy(),
        spread_floor_O=SPREAD_FLOOR_O[:CONTEXTS].copy(),
    )


def drop_entries(counts: Counts, mask_N: NDArray[np.bool_]) -> Counts:
    """The same without those entries and what is below them; single tokens stay, all of a vocabulary must be there."""
    first_C = counts.first()
    kept_N = ~mask_N
    begin, end = 0, int(first_C[0])
    kept_N[:end] = True
    followers = []
    for _ in range(LENGTHS - 1):
        followers_C = counts.followers_C[begin:end].astype(np.int64)
        context_N = begin + np.repeat(np.arange(end - begin), followers_C)
        below = slice(end, end + len(context_N))
        # of a dropped context's own followers all are dropped
        kept_N[below] &= (kept_N if begin else ~mask_N)[context_N]
        followers.append(np.bincount(context_N[kept_N[below]] - begin, minlength=end - begin)[kept_N[begin:end]])
        begin, end = below.start, below.stop
    return counts._replace(
        token_N=counts.token_N[kept_N],
        code_N=counts.code_N[kept_N],
        followers_C=np.concatenate(followers).astype(counts.followers_C.dtype),
    )


def _count_of_code(largest: int) -> NDArray[np.float64]:
    values = [float(value) for value in range(1, _EXACT_COUNTS + 1)]
    while values[-1] < largest:
        values.append(float(round(values[-1] * 2**0.25)))
    return np.array(values)


def _codes(count_N: NDArray[np.int64], count_of_code: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Code of the nearest count."""
    middles = (count_of_code[1:] + count_of_code[:-1]) / 2
    return np.searchsorted(middles, count_N).astype(np.uint8)


def _at_least(counts: Counts) -> float:
    """A size that the file is not below, in a tenth of the time."""
    return 0.7 * len(save_counts(counts, level=1))


def train_counts(stream: TokenStream, vocabulary: Vocabulary, max_bytes: int, across_classes: bool = False) -> Counts:
    """The most useful counts whose file is at most `max_bytes`; those of single tokens in any case."""
    levels = count_sequences(stream, vocabulary.vocab_size, across_classes)
    scores = _scores(levels)
    everything = _build(levels, _kept(levels, scores, -np.inf), vocabulary)
    if _at_least(everything) <= max_bytes and len(save_counts(everything)) <= max_bytes:
        return everything
    finite = np.concatenate([[0.0], *(score[np.isfinite(score)] for score in scores)])
    # Shares of the sequences that are dropped, halved in: the file's size falls with each.
    low, high = 0.0, 1.0
    best = _build(levels, _kept(levels, scores, np.inf), vocabulary)
    for _ in range(_PRUNING_STEPS):
        middle = (low + high) / 2
        candidate = _build(levels, _kept(levels, scores, float(np.quantile(finite, middle))), vocabulary)
        size = _at_least(candidate)
        if size <= max_bytes:
            size = len(save_counts(candidate))
        if size > max_bytes:
            low = middle
        else:
            best, high = candidate, middle
            if size > 0.98 * max_bytes:
                break
    return best
