"""One mode of `nbmf bench exact`, in a process of its own: a digest of what each record gives in it.

A pickled Job comes in on standard input. A JSON line goes out for each record, in any order, and one
at the end about the process itself.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nbmf import _core, engine
from nbmf.manifest import read_version
from nbmf.neural.codec import NeuralCodec, Stream
from nbmf.neural.config import NeuralConfig
from nbmf.neural.weights import IntegerWeights

Tokens = NDArray[np.int32]

spent: dict[str, float] = {}
"""Seconds of this process by what it did, of whole records."""

STEP_POSITIONS = 1024
"""Rows of predictions that PyTorch works out at once: 4 bytes x vocabulary each."""

DEALT_BATCHES = 4
"""Records of neighbouring ranks by length are dealt into so many batches: unequal, but little padding."""


CPU, GPU = "cpu", "cuda"
Measure = Literal["core", "torch", "records"]


@dataclass(frozen=True, slots=True)
class Job:
    """What to work out. `records` are (record type, canonical bytes) that the version's network takes."""

    measure: Measure
    version: Path
    records: list[tuple[str, bytes]]
    batch: int = 1
    threads: int = 1
    device: str = CPU  # of torch


@dataclass(frozen=True, slots=True)
class Found:
    """Digests of a record's predictions and of its stream, where the mode has them.

    `decoded` is false where the stream decodes to something else than the record.
    """

    record: int
    tokens: int
    predictions: str | None = None
    stream: str | None = None
    decoded: bool = True


def run(job: Job) -> Iterator[Found]:
    """What each record gives, in any order."""
    _, manifest, files = read_version(job.version)
    part = manifest.neural
    if part is None:
        raise ValueError(f"{job.version} has no network")
    codec = NeuralCodec.from_files(
        files[part.tokenizer],
        files[part.constants],
        files[part.model],
        files[part.counts] if part.counts else None,
    )
    if job.measure == "records":
        return _records(codec, job)
    if job.measure == "torch":
        return _torch(*IntegerWeights.load(files[part.model]), codec, job)
    return _core_predictions(codec, job)


def processor(job: Job) -> str:
    """What the engine of this process takes the processor for, and the product that torch's engine uses."""
    if job.device == GPU:
        import torch

        return torch.cuda.get_device_name()
    if job.measure == "torch":
        import torch

        from nbmf.neural.product import int8_product_is_exact

        product = "int8" if int8_product_is_exact("cpu") else "float32"
        return f"{torch.backends.cpu.get_cpu_capability()}, {product}"
    return _core.cpu()


def main() -> None:
    """The process."""
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301
    for found in run(job):
        print(json.dumps(asdict(found)), flush=True)
    about = {"processor": processor(job), "cpu_s": round(time.process_time(), 1)}
    print(json.dumps(about | {f"{part}_s": seconds for part, seconds in spent.items()}))


def _tokens(codec: NeuralCodec, record_type: str, data: bytes) -> Tokens:
    """A record's type and its tokens: all but the last are the network's input, all but the first its output."""
    return np.array([codec.type_id(record_type), *codec.tokenizer.encode(data)], dtype=np.int32)


def _digest(data: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(data, digest_size=16)


class _Predictions:
    """Digest of a record's predictions: symbols, and the tokens of each one's cluster."""

    def __init__(self) -> None:
        self._steps = [_digest(), _digest()]

    def update(self, *steps: NDArray[np.int32]) -> None:
        """The next positions: [positions, symbols], [positions, tokens of a cluster]."""
        for step, array in zip(self._steps, steps, strict=True):
            step.update(np.ascontiguousarray(array, dtype="<i4").data)

    def hexdigest(self) -> str:
        """Of all positions."""
        return _digest(b"".join(step.digest() for step in self._steps)).hexdigest()


def _core_predictions(codec: NeuralCodec, job: Job) -> Iterator[Found]:
    """Predictions, one record's at a time; the stream from them, so that the network runs once; and back."""
    for index, (record_type, data) in enumerate(job.records):
        tokens = _tokens(codec, record_type, data)
        predictions = codec.vocabulary.empty_predictions(len(tokens) - 1)
        codec.model.distances(tokens[:-1], tokens[1:], job.batch, *predictions)
        digest = _Predictions()
        digest.update(*predictions)
        stream = codec.model.encode_predicted(tokens[1:], int(tokens[0]), *predictions)
        try:
            decoded = codec.decode(stream, len(data), record_type) == data
        except ValueError:
            decoded = False
        yield Found(index, len(tokens) - 1, digest.hexdigest(), _digest(stream).hexdigest(), decoded)


def _torch(weights: IntegerWeights, config: NeuralConfig, codec: NeuralCodec, job: Job) -> Iterator[Found]:
    import torch

    from nbmf.neural.torch_engine import EngineState, TorchEngine

    torch.set_num_threads(job.threads)
    network = TorchEngine(weights, config, job.device)
    whole = [_tokens(codec, *record) for record in job.records]
    tokens, targets = [record[:-1] for record in whole], [record[1:] for record in whole]
    block = max(1, STEP_POSITIONS // job.batch)
    for members in batches([*map(len, tokens)], job.batch):
        digests, state = [_Predictions() for _ in members], EngineState()
        longest = max(len(tokens[index]) for index in members)
        padded, wanted = (np.zeros((len(members), longest), dtype=np.int64) for _ in range(2))
        for row, index in enumerate(members):
            padded[row, : len(tokens[index])] = tokens[index]
            wanted[row, : len(tokens[index])] = targets[index]
        for begin in range(0, longest, block):
            symbols = network.step(padded[:, begin : begin + block], state).cpu().numpy()
            of_clusters = network.members(wanted[:, begin : begin + block], state)
            for row, index in enumerate(members):
                rows = max(0, len(tokens[index]) - begin)
                digests[row].update(symbols[row, :rows], of_clusters[row, :rows])
        for digest, index in zip(digests, members, strict=True):
            yield Found(index, len(tokens[index]), digest.hexdigest())


def batches(lengths: list[int], batch: int) -> Iterator[list[int]]:
    """Indexes of the records of each batch."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for begin in range(0, len(order), DEALT_BATCHES * batch):
        neighbours = order[begin : begin + DEALT_BATCHES * batch]
        hands = -(-len(neighbours) // batch)
        yield from (neighbours[hand::hands] for hand in range(hands))


def _records(codec: NeuralCodec, job: Job) -> Iterator[Found]:
    """Streams of whole records, decoded side by side, by the engine of the device; the seconds are in `spent`."""
    engine.configure("cpu" if job.device == CPU else "torch")
    codec.decode_batch(_encoded(codec, job.records[:2]))  # to warm up
    spent.update(encode=0.0, decode=0.0)
    for begin in range(0, len(job.records), job.batch):
        part = job.records[begin : begin + job.batch]
        before = time.perf_counter()
        given = _encoded(codec, part)
        encoded = time.perf_counter()
        decoded = codec.decode_batch(given)
        spent["encode"] += encoded - before
        spent["decode"] += time.perf_counter() - encoded
        for index, (_, data) in enumerate(part):
            tokens, stream = len(codec.tokenizer.encode(data)), _digest(given[index].data).hexdigest()
            yield Found(begin + index, tokens, stream=stream, decoded=decoded[index] == data)


def _encoded(codec: NeuralCodec, records: Sequence[tuple[str, bytes]]) -> list[Stream]:
    streams = codec.encode_batch([(data, record_type) for record_type, data in records])
    return [Stream(stream, len(data), of) for stream, (of, data) in zip(streams, records, strict=True)]
