"""Batches by the PyTorch engine: the network there, everything else in the compiled loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.record_loop import decode_tokens, new_slots, start_decoding
from nbmf.neural.torch_engine import EngineState

if TYPE_CHECKING:
    from nbmf.neural.codec import NeuralCodec, Stream

BATCH_POSITIONS = 2048  # rows of frequencies held at once while encoding: 4 bytes x vocabulary each
BATCH_RECORDS = 256  # decoded side by side


def encode_by_torch(codec: NeuralCodec, type_ids: Sequence[int], tokens: Sequence[NDArray[np.int32]]) -> list[bytes]:
    """The streams of records given as tokens."""
    streams: list[bytes] = [b""] * len(tokens)
    for group in _groups([len(record) + 1 for record in tokens]):
        inputs = [np.concatenate(([type_ids[index]], tokens[index][:-1])) for index in group]
        for index, network_TV in zip(group, codec.torch_engine.frequencies(inputs), strict=True):
            streams[index] = codec.encode_predicted(network_TV[: len(tokens[index])], type_ids[index], tokens[index])
    return streams


def _groups(lengths: list[int]) -> Iterator[list[int]]:
    """Indices of records of like length, whose padded lengths together stay below BATCH_POSITIONS."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[index] > BATCH_POSITIONS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def decode_by_torch(codec: NeuralCodec, streams: Sequence[Stream]) -> list[bytes | None]:
    """The records; None for a stream that can't be one of its length."""
    results: list[bytes | None] = [None] * len(streams)
    order = sorted(range(len(streams)), key=lambda index: streams[index][1])
    for begin in range(0, len(order), BATCH_RECORDS):
        group = order[begin : begin + BATCH_RECORDS]
        for index, data in zip(group, _decode_side_by_side(codec, [streams[index] for index in group]), strict=True):
            results[index] = data
    return results


def _decode_side_by_side(codec: NeuralCodec, streams: Sequence[Stream]) -> list[bytes | None]:
    blobs = codec.blobs(streams)
    count = len(blobs.n_bytes_N)
    if count:
        fixed = codec.predictor, codec.constants, codec.work(int(blobs.n_bytes_N.max()), count, network=False)
        slots, state = new_slots(count), EngineState()
        for record in range(count):
            start_decoding(*fixed, slots, blobs, record, record)
        slot_B = np.arange(count)
        while len(slot_B):
            network_BV = codec.torch_engine.step(slots.last_S[slot_B][:, None], state)[:, 0].cpu().numpy()
            total_B = network_BV.sum(axis=1, dtype=np.int64)
            decode_tokens(*fixed, slots, blobs, codec.token_lengths_V, slot_B, network_BV, total_B)
            going_on = np.flatnonzero(slots.record_S[slot_B] >= 0)
            if len(going_on) < len(slot_B):
                state.keep(going_on)
                slot_B = slot_B[going_on]
    return codec.decoded(streams, blobs)
