"""Batches by the PyTorch engine: the network there, everything else in the compiled core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbmf.neural.torch_engine import EngineState

if TYPE_CHECKING:
    from nbmf.neural.codec import NeuralCodec, Stream

BATCH_POSITIONS = 2048  # rows of distances held at once while encoding: 4 bytes x vocabulary each
BATCH_RECORDS = 256  # decoded side by side


def encode_by_torch(codec: NeuralCodec, types: Sequence[tuple[int, int]], records: Sequence[memoryview]) -> list[bytes]:
    """The streams of records given as tokens, of each the type id and how the stream tells its size."""
    tokens = [np.array(record, dtype=np.int32) for record in records]
    streams: list[bytes] = [b""] * len(tokens)
    for group in _groups([len(record) + 1 for record in tokens]):
        inputs = [np.concatenate(([types[index][0]], tokens[index][:-1])) for index in group]
        targets = [tokens[index] for index in group]
        for index, predicted in zip(group, codec.torch_engine.distances(inputs, targets), strict=True):
            symbols_TS, members_TZ = (step[: len(tokens[index])] for step in predicted)  # one more of an empty record
            type_id, sizing = types[index]
            streams[index] = codec.model.encode_predicted(tokens[index], type_id, symbols_TS, members_TZ, sizing)
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
    order = sorted(range(len(streams)), key=lambda index: streams[index].n_bytes)
    for begin in range(0, len(order), BATCH_RECORDS):
        group = order[begin : begin + BATCH_RECORDS]
        for index, data in zip(group, _decode_side_by_side(codec, [streams[index] for index in group]), strict=True):
            results[index] = data
    return results


def _decode_side_by_side(codec: NeuralCodec, streams: Sequence[Stream]) -> list[bytes | None]:
    decoder = codec.model.decoder(codec.with_type_ids(streams))
    going_on, state = decoder.going_on(), EngineState()
    while going_on:
        tokens_B1 = np.array([[token] for _, token in going_on])
        decoder.step(codec.torch_engine.step(tokens_B1, state)[:, 0].contiguous().cpu().numpy())
        if waiting := decoder.clusters():
            row_of = {record: row for row, (record, _) in enumerate(going_on)}
            head_in_ND = state.head_in_BTD[[row_of[record] for record, _ in waiting], 0]
            clusters_N = np.array([cluster for _, cluster in waiting])
            decoder.step_members(codec.torch_engine.member_distances(head_in_ND, clusters_N).cpu().numpy())
        before, going_on = [record for record, _ in going_on], decoder.going_on()
        if len(going_on) < len(before):
            still = {record for record, _ in going_on}
            state.keep(np.array([row for row, record in enumerate(before) if record in still], dtype=np.int64))
    return decoder.results()
