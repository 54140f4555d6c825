"""Batches of a stream of tokens, with the rows of the n-gram memory worked out ahead.

Shape suffixes: N tokens of a stream, B sequences of a batch, T positions of a sequence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from nbmf.neural.config import NeuralConfig
from nbmf.neural.hashing import bigram_rows, trigram_rows
from train_app.samples.tokens import TokenStream


@dataclass(frozen=True)
class Batch:
    """Inputs and targets; a target of -1 is not counted."""

    tokens_BT: torch.Tensor
    bigrams_BT: torch.Tensor
    trigrams_BT: torch.Tensor
    records_BT: torch.Tensor  # number of the record: attention stays inside
    targets_BT: torch.Tensor
    begins_B: torch.Tensor  # where in the stream each sequence begins

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class StreamBatches:
    """Cuts a stream into sequences of `length`. Records may be cut; attention never joins two."""

    def __init__(self, stream: TokenStream, config: NeuralConfig, hash_id_I: NDArray[np.int32] | None = None) -> None:
        """`hash_id_I`: what stands for each id where n-grams are hashed, if not the id."""
        self.stream = stream
        tokens_N = stream.tokens_N.astype(np.int64)
        hashed_N = tokens_N if hash_id_I is None else hash_id_I[tokens_N].astype(np.int64)
        padding = np.int64(config.padding_id if hash_id_I is None else hash_id_I[config.padding_id])
        is_start_N = np.zeros(len(tokens_N), dtype=bool)
        is_start_N[stream.starts[:-1]] = True
        previous_N = np.where(is_start_N, padding, np.roll(hashed_N, 1))
        after_start_N = is_start_N | np.roll(is_start_N, 1)
        second_N = np.where(after_start_N, padding, np.roll(hashed_N, 2))
        self._tokens_N = torch.from_numpy(tokens_N.astype(np.int32))
        self.bigrams_N = torch.from_numpy(bigram_rows(previous_N, hashed_N, config.bigram_bits).astype(np.int32))
        self.trigrams_N = torch.from_numpy(
            trigram_rows(second_N, previous_N, hashed_N, config.trigram_bits).astype(np.int32)
        )
        self._records_N = torch.from_numpy(np.cumsum(is_start_N).astype(np.int32))
        next_is_start_N = np.roll(is_start_N, -1)
        next_is_start_N[-1] = True
        targets_N = np.where(next_is_start_N, -1, np.roll(tokens_N, -1))
        self._targets_N = torch.from_numpy(targets_N.astype(np.int32))

    def __len__(self) -> int:
        return len(self._tokens_N)

    def at(self, begins_B: torch.Tensor, length: int) -> Batch:
        index_BT = begins_B[:, None] + torch.arange(length)[None, :]
        return Batch(
            self._tokens_N[index_BT].long(),
            self.bigrams_N[index_BT].long(),
            self.trigrams_N[index_BT].long(),
            self._records_N[index_BT],
            self._targets_N[index_BT].long(),
            begins_B,
        )

    def epoch(
        self, epoch: int, seed: int, batch_size: int, length: int, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """All sequences of one pass in a random order, from a random offset."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        offset = int(torch.randint(length, (1,), generator=generator))
        count = (len(self) - offset) // length
        begins = torch.randperm(count, generator=generator) * length + offset
        begins = begins[rank::world]
        for step in range(len(begins) // batch_size):
            yield self.at(begins[step * batch_size : (step + 1) * batch_size], length)
