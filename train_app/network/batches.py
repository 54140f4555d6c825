"""Batches of a stream of tokens. The stream is kept as it is, three bytes a token; all else is worked out for a batch.

Shape suffixes: N tokens of a stream, B sequences of a batch, T positions of a sequence, U those and two before them and
one behind, I input ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbmf.neural.config import NeuralConfig
from nbmf.neural.hashing import MASK_32, MULTIPLIER_A, MULTIPLIER_B, MULTIPLIER_C, MULTIPLIER_MIX
from train_app.samples.tokens import TokenStream

BYTES_PER_TOKEN = 3
"""Of a stream that is held here: the id, and whether a record starts."""

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """Inputs and targets; a target of -1 is not counted."""

    tokens_BT: Tensor
    bigrams_BT: Tensor
    trigrams_BT: Tensor
    records_BT: Tensor  # number of the record in the sequence: attention stays inside
    targets_BT: Tensor
    begins_B: Tensor  # where in the stream each sequence begins

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; from pinned memory the copy goes on beside what comes next."""
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def pinned(self) -> Batch:
        """The batch in memory that a GPU copies from by itself."""
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))


class StreamBatches:
    """Cuts a stream into sequences. Records may be cut; attention never joins two."""

    def __init__(
        self,
        stream: TokenStream,
        config: NeuralConfig,
        hash_id_I: NDArray[np.int32] | None = None,
        device: torch.device = _CPU,
    ) -> None:
        """`hash_id_I`: what stands for each id where n-grams are hashed, if not the id. Made on `device`."""
        self.stream = stream
        self.device = device
        self.config = config
        # torch has no arithmetic of uint16: the same bits.
        self._tokens_N = torch.from_numpy(np.ascontiguousarray(stream.tokens_N).view(np.int16)).to(device)
        is_start_N = torch.zeros(len(stream.tokens_N), dtype=torch.bool)
        is_start_N[torch.from_numpy(stream.starts[:-1].copy())] = True
        self._is_start_N = is_start_N.to(device)
        self._hash_id_I = None if hash_id_I is None else torch.from_numpy(hash_id_I.astype(np.int64)).to(device)
        padding = config.padding_id
        self._padding = padding if hash_id_I is None else int(hash_id_I[padding])

    def __len__(self) -> int:
        return len(self._tokens_N)

    def at(self, begins_B: Tensor, length: int) -> Batch:
        """The sequences of `length` tokens that begin there."""
        span_U = torch.arange(-2, length + 1, device=self.device)
        index_BU = begins_B.to(self.device)[:, None] + span_U
        is_end_BT = index_BU[:, 3:] >= len(self)
        index_BU = index_BU.clamp_(0, len(self) - 1)
        tokens_BU = self._tokens_N[index_BU].long() & 0xFFFF
        is_start_BU = self._is_start_N[index_BU]
        hashed_BU = tokens_BU if self._hash_id_I is None else self._hash_id_I[tokens_BU]
        is_start_BT = is_start_BU[:, 2:-1]
        current_BT = hashed_BU[:, 2:-1]
        previous_BT = hashed_BU[:, 1:-2].masked_fill(is_start_BT, self._padding)
        second_BT = hashed_BU[:, :-3].masked_fill(is_start_BT | is_start_BU[:, 1:-2], self._padding)
        bigram_BT = previous_BT * MULTIPLIER_A + current_BT * MULTIPLIER_B
        trigram_BT = second_BT * MULTIPLIER_C + bigram_BT
        return Batch(
            tokens_BU[:, 2:-1].contiguous(),
            _rows(bigram_BT, self.config.bigram_bits),
            _rows(trigram_BT, self.config.trigram_bits),
            is_start_BT.cumsum(dim=1, dtype=torch.int32),
            tokens_BU[:, 3:].masked_fill(is_start_BU[:, 3:] | is_end_BT, -1),
            begins_B,
        )

    def epoch(self, epoch: int, seed: int, batch_size: int, length: int) -> Iterator[Batch]:
        """All sequences of one pass in a random order, from a random offset; what does not fill a batch is left out."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        offset = int(torch.randint(length, (1,), generator=generator))
        begins = torch.randperm((len(self) - offset) // length, generator=generator) * length + offset
        for step in range(len(begins) // batch_size):
            yield self.at(begins[step * batch_size : (step + 1) * batch_size], length)


def _rows(hash_BT: Tensor, bits: int) -> Tensor:
    """As nbmf.neural.hashing has them; all of it fits 63 bits."""
    hash_BT = hash_BT & MASK_32
    hash_BT = ((hash_BT ^ (hash_BT >> 15)) * MULTIPLIER_MIX) & MASK_32
    return hash_BT >> (32 - bits)
