"""What rounding a network to integers costs, in bits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from train_app.adaptation.core_engine import Engine
from train_app.network.batches import StreamBatches
from train_app.network.model import NeuralModel
from train_app.samples.tokens import TokenStream


def integer_bits(engine: Engine, record_T: NDArray[np.integer]) -> float:
    """Bits of a record (its type id first) by the integer frequencies alone."""
    config, targets_T = engine.config, record_T[1:].astype(np.int64)
    (predicted,) = engine.distances([record_T[:-1]], [targets_T])
    symbols_TS, members_TZ = predicted.frequencies(engine.frequency_exp)
    bits = _bits(symbols_TS, config.symbols(targets_T))
    if config.n_clusters:
        beyond_T = targets_T - config.n_singles
        bits += _bits(members_TZ[beyond_T >= 0], beyond_T[beyond_T >= 0] % config.cluster_size)
    return bits


def _bits(frequencies_TV: NDArray[np.int32], picked_T: NDArray[np.int64]) -> float:
    share_T = frequencies_TV[np.arange(len(picked_T)), picked_T] / frequencies_TV.sum(axis=1, dtype=np.int64)
    return float(-np.log2(share_T).sum())


@torch.no_grad()
def float_bits(model: NeuralModel, record_T: NDArray[np.uint16]) -> float:
    """The same by the float network, float32 throughout."""
    stream = TokenStream(record_T, np.array([0, len(record_T)]), np.zeros(1, dtype=np.int64), np.array([""]))
    batch = StreamBatches(stream, model.config, model.hash_ids()).at(torch.zeros(1, dtype=torch.long), len(record_T))
    return float(model.token_nats(batch).double().sum() / np.log(2))


def quantisation_loss(model: NeuralModel, engine: Engine, stream: TokenStream, step: int) -> dict[str, float]:
    """Bits of every `step`-th record, float against integer."""
    exact = approximate = 0.0
    n_tokens = 0
    for index in range(0, len(stream.sets), step):
        record_T = stream.tokens_N[stream.starts[index] : stream.starts[index + 1]]
        approximate += integer_bits(engine, record_T)
        exact += float_bits(model, record_T)
        n_tokens += len(record_T) - 1
    return {
        "tokens": n_tokens,
        "float_bits": round(exact),
        "integer_bits": round(approximate),
        "loss_percent": round(100 * (approximate / exact - 1), 4),
    }
