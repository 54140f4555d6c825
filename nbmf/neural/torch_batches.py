"""Batches by the PyTorch engine: the network there, everything else in the compiled core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nbmf import _core
from nbmf.neural.batches import CoreStream, Tokens
from nbmf.neural.torch_engine import EngineState, TorchEngine

_POSITIONS = 2048  # rows of distances held at once while encoding: 4 bytes x vocabulary each
_SIDE_BY_SIDE = 256  # records


class TorchBatches:
    """nbmf.neural.batches.Batches by PyTorch."""

    def __init__(self, model: _core.Model, engine: TorchEngine) -> None:
        self._model, self._engine = model, engine

    def encode(self, records: Sequence[Tokens]) -> list[bytes]:
        tokens = [np.array(record.tokens_T, dtype=np.int32) for record in records]
        streams: list[bytes] = [b""] * len(tokens)
        for group in _groups([len(record) + 1 for record in tokens]):
            inputs = [np.concatenate(([records[index].type_id], tokens[index][:-1])) for index in group]
            targets = [tokens[index] for index in group]
            for index, predicted in zip(group, self._engine.distances(inputs, targets), strict=True):
                symbols_TS, members_TZ = (
                    step[: len(tokens[index])] for step in predicted
                )  # one more of an empty record
                streams[index] = self._model.encode_predicted(
                    tokens[index], records[index].type_id, symbols_TS, members_TZ, records[index].sizing
                )
        return streams

    def decode(self, streams: Sequence[CoreStream]) -> list[bytes | None]:
        results: list[bytes | None] = [None] * len(streams)
        order = sorted(range(len(streams)), key=lambda index: streams[index].n_bytes)
        for begin in range(0, len(order), _SIDE_BY_SIDE):
            group = order[begin : begin + _SIDE_BY_SIDE]
            for index, data in zip(group, self._side_by_side([streams[index] for index in group]), strict=True):
                results[index] = data
        return results

    def _side_by_side(self, streams: Sequence[CoreStream]) -> list[bytes | None]:
        decoder = self._model.decoder([*streams])
        going_on, state = decoder.going_on(), EngineState()
        while going_on:
            tokens_B1 = np.array([[token] for _, token in going_on])
            decoder.step(self._engine.step(tokens_B1, state)[:, 0].contiguous().cpu().numpy())
            if waiting := decoder.clusters():
                row_of = {record: row for row, (record, _) in enumerate(going_on)}
                head_in_ND = state.head_in_BTD[[row_of[record] for record, _ in waiting], 0]
                clusters_N = np.array([cluster for _, cluster in waiting])
                decoder.step_members(self._engine.member_distances(head_in_ND, clusters_N).cpu().numpy())
            before, going_on = [record for record, _ in going_on], decoder.going_on()
            if len(going_on) < len(before):
                still = {record for record, _ in going_on}
                state.keep(np.array([row for row, record in enumerate(before) if record in still], dtype=np.int64))
        return decoder.results()


def _groups(lengths: list[int]) -> Iterator[list[int]]:
    """Indices of records of like length, whose padded lengths together stay below _POSITIONS."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[index] > _POSITIONS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
