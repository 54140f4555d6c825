"""Bits that the float network needs for records.

Shape suffixes: N tokens of a stream, R its records, C classes.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from train_app.network.batches import StreamBatches
from train_app.network.model import NeuralModel
from train_app.samples.tokens import TokenStream

MOST_CLASSES = 20
OTHERS = "(others)"
"""Classes beyond so many, those of the fewest bytes, together."""

_LENGTH = 1024
_BATCH_SIZE = 8


@dataclass(frozen=True)
class Bits:
    """Bits a byte of all records, and of each class where there are several."""

    per_byte: float
    by_class: dict[str, float]


@torch.no_grad()
def bits(model: NeuralModel, stream: TokenStream, autocast_dtype: torch.dtype | None = None) -> Bits:
    """Bits a byte, the network alone. What does not fill a last sequence is left out; bytes are by the tokens."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    batches = StreamBatches(stream, model.config, model.hash_ids(), device)
    length = min(_LENGTH, len(batches))
    begins = torch.arange(0, len(batches) - length + 1, length)
    parts = []
    for part in begins.split(_BATCH_SIZE):
        with torch.autocast(device.type, autocast_dtype) if autocast_dtype else nullcontext():
            parts.append(model.token_nats(batches.at(part, length)).double().flatten())
    model.train(was_training)
    nats_N = torch.cat(parts).cpu().numpy()
    bits_of = nats_N.sum() / np.log(2)
    bytes_per_token = float(stream.n_bytes.sum()) / len(stream.tokens_N)
    per_byte = round(float(bits_of / (len(nats_N) * bytes_per_token)), 4)

    names, class_R = _classes(stream)
    if len(names) == 1:
        return Bits(per_byte, {})
    lengths_R = np.diff(stream.starts)
    class_N = np.repeat(class_R, lengths_R)[: len(nats_N)]
    nats_C = np.bincount(class_N, nats_N, len(names))
    tokens_C = np.bincount(class_N, minlength=len(names))
    bytes_C = tokens_C * np.bincount(class_R, stream.n_bytes) / np.bincount(class_R, lengths_R)
    found = {str(n): round(float(x / b / np.log(2)), 4) for n, x, b in zip(names, nats_C, bytes_C, strict=True) if b}
    return Bits(per_byte, found)


def _classes(stream: TokenStream) -> tuple[list[str], np.ndarray]:
    """(names, those of the most bytes first; the number of each record's class [R])."""
    names_C, class_R = np.unique(stream.sets, return_inverse=True)
    order_C = np.argsort(-np.bincount(class_R, stream.n_bytes), kind="stable")
    rank_C = np.argsort(order_C, kind="stable")
    names = [str(name) for name in names_C[order_C]]
    if len(names) <= MOST_CLASSES:
        return names, rank_C[class_R]
    return [*names[: MOST_CLASSES - 1], OTHERS], np.minimum(rank_C[class_R], MOST_CLASSES - 1)
