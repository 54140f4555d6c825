"""Bits that the float network needs for records."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch

from train_app.network.batches import StreamBatches
from train_app.network.model import NeuralModel
from train_app.samples.tokens import TokenStream

_LENGTH = 1024
_BATCH_SIZE = 8


@torch.no_grad()
def bits_per_byte(model: NeuralModel, stream: TokenStream, autocast_dtype: torch.dtype | None = None) -> float:
    """Bits a byte over all records, the network alone. What does not fill a last sequence is left out."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    batches = StreamBatches(stream, model.config, model.hash_ids())
    length = min(_LENGTH, len(batches))
    begins = torch.arange(0, len(batches) - length + 1, length)
    nats = torch.zeros((), dtype=torch.float64)
    counted_bytes = 0.0
    for part in begins.split(_BATCH_SIZE):
        with torch.autocast(device.type, autocast_dtype) if autocast_dtype else nullcontext():
            nats += model.token_nats(batches.at(part, length).to(device)).double().sum().cpu()
        counted_bytes += len(part) * length
    model.train(was_training)
    bytes_per_token = float(stream.n_bytes.sum()) / len(stream.tokens_N)
    return round(float(nats) / np.log(2) / (counted_bytes * bytes_per_token), 4)
