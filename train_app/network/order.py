"""In which order a training run sees its records: the same on any number of workers, and when it is taken up again.

Shape suffixes: R records, C classes, S sequences of an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train_app.samples.tokens import TokenStream


@dataclass(frozen=True)
class Class:
    """Neighbouring tokens of a stream, and the share of the sequences that are drawn of them."""

    begin: int
    end: int
    share: float


def by_class(stream: TokenStream, temperature: float) -> tuple[TokenStream, list[Class]]:
    """(the stream with records of a class side by side, its classes); as it is, one class, with a temperature of 1.

    Of a class of a share p of the tokens, a share in proportion to p ** temperature is drawn: 0 draws as much of each.
    """
    whole = [Class(0, len(stream.tokens_N), 1.0)]
    names, class_R = np.unique(stream.sets, return_inverse=True)
    if temperature == 1 or len(names) == 1:
        return stream, whole
    order_R = np.argsort(class_R, kind="stable")
    lengths_R = np.diff(stream.starts)
    ordered = TokenStream(
        np.concatenate([stream.tokens_N[stream.starts[r] : stream.starts[r + 1]] for r in order_R]),
        np.concatenate(([0], np.cumsum(lengths_R[order_R]))).astype(np.int64),
        stream.n_bytes[order_R],
        stream.sets[order_R],
    )
    tokens_C = np.bincount(class_R, weights=lengths_R)
    weights_C = (tokens_C / tokens_C.sum()) ** temperature
    ends_C = np.cumsum(tokens_C).astype(np.int64)
    begins_C = ends_C - tokens_C.astype(np.int64)
    shares_C = weights_C / weights_C.sum()
    return ordered, [Class(int(b), int(e), float(s)) for b, e, s in zip(begins_C, ends_C, shares_C, strict=True)]


class Order:
    """Where the sequences of each epoch begin. Those without a target are left out."""

    def __init__(self, stream: TokenStream, classes: list[Class], length: int, seed: int) -> None:
        self._starts = stream.starts
        self._classes = classes
        self._length = length
        self._seed = seed

    def epoch(self, number: int) -> tuple[Tensor, NDArray[np.int64]]:
        """(first tokens [S], counted targets [S]) of one pass: as many sequences as there are, in random order."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        total = self._classes[-1].end // self._length
        if len(self._classes) == 1:
            begins_S = self._permuted(self._classes[0], generator)
        else:
            ends_C = np.rint(np.cumsum([one.share for one in self._classes]) * total).astype(int)
            counts_C = np.diff(ends_C, prepend=0).tolist()
            drawn = [self._drawn(*each, generator) for each in zip(self._classes, counts_C, strict=True)]
            begins_S = torch.cat(drawn)
            begins_S = begins_S[torch.randperm(len(begins_S), generator=generator)]
        counted_S = self._counted(begins_S.numpy())
        if not counted_S.any():
            raise ValueError("no record has a token to predict: they are all empty")
        return begins_S[torch.from_numpy(counted_S > 0)], counted_S[counted_S > 0]

    def _permuted(self, one: Class, generator: torch.Generator) -> Tensor:
        """All sequences of a class once, from a random offset; of a class of fewer tokens, the one around them."""
        offset = int(torch.randint(self._length, (1,), generator=generator))
        count = (one.end - one.begin - offset) // self._length
        if count < 1:
            return torch.tensor([max(0, min(one.begin, self._classes[-1].end - self._length))])
        return torch.randperm(count, generator=generator) * self._length + offset + one.begin

    def _drawn(self, one: Class, count: int, generator: torch.Generator) -> Tensor:
        """So many sequences of a class: none again before all others were drawn."""
        drawn, left = [torch.empty(0, dtype=torch.long)], count
        while left > 0:
            drawn.append(self._permuted(one, generator)[:left])
            left -= len(drawn[-1])
        return torch.cat(drawn)

    def _counted(self, begins_S: NDArray[np.int64]) -> NDArray[np.int64]:
        """A target is counted wherever the token is not the last of its record."""
        ends = self._starts[1:]
        last_S = np.searchsorted(ends, begins_S + self._length, side="right")
        return self._length - (last_S - np.searchsorted(ends, begins_S, side="right"))


@dataclass(frozen=True)
class Portion:
    """What a worker takes at once, and what its mean loss weighs in that of the whole optimiser step."""

    begins_B: Tensor
    counted: int
    weight: float


def portions(
    begins_G: Tensor, counted_G: NDArray[np.int64], rank: int, world: int, batch_size: int
) -> tuple[Portion, ...]:
    """A worker's part of an optimiser step's sequences [G], in portions of at most `batch_size`.

    Weights are such that the sum over portions and workers is the mean over all counted targets of the step. A worker
    for which there is none takes the first, with a weight of nothing: all must take part in the step.
    """
    total = int(counted_G.sum())
    own_B, own_counted = begins_G[rank::world], counted_G[rank::world]
    if not len(own_B):
        return (Portion(begins_G[:1], 0, 0.0),)
    result = []
    for at in range(0, len(own_B), batch_size):
        counted = int(own_counted[at : at + batch_size].sum())
        result.append(Portion(own_B[at : at + batch_size], counted, counted / total))
    return tuple(result)
