"""A process of `nbmf bench phases`: each phase of a token by itself, in the compiled core.

A pickled Job comes in on standard input, a JSON object goes out. The phases are functions of the network
(nbmf/_core/network.h), called for all layers again and again: their weights are then in a nearer cache than in the
whole, which reads all weights for each step. The whole is measured too.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from nbmf import _core
from nbmf.manifest import read_version
from nbmf.neural.codec import NeuralCodec

CLUSTER = "tokens of a cluster"
PHASES = (
    "attention", "layers without feed-forward", "feed-forward", "norms", "embeddings", "head", CLUSTER, "network",
)  # fmt: skip
"""By their numbers in the core; "network" is all of them but CLUSTER as they are run."""

AT_ONCE = (1, 16)
"""Tokens of a record in one step: decoding knows one, encoding all."""

REPEATS = 7
_PROBES = 3
_MIN_S = 0.03


@dataclass(frozen=True, slots=True)
class Job:
    """A version's folder, and a record whose tokens are coded."""

    version: Path
    record: bytes
    record_type: str


def run(job: Job) -> dict[str, Any]:
    """µs a token: {"phases": {name: {at once: µs}}, "coding", "encode", "decode"}, and what it was measured on."""
    _, manifest, files = read_version(job.version)
    part = manifest.neural
    if part is None or part.model is None:
        raise ValueError(f"{job.version} has no network")
    counts = files[part.counts] if part.counts else None
    codec = NeuralCodec.from_files(files[part.tokenizer], files[part.constants], files[part.model], counts)
    config = codec.config
    assert config is not None  # noqa: S101
    tokens = codec.tokens(job.record)
    inputs = tokens[: 2 * config.window]
    numbers = {name: number for number, name in enumerate(PHASES) if name != CLUSTER or config.n_clusters}
    phases: dict[str, dict[str, float]] = {name: {} for name in numbers}
    for count in AT_ONCE:
        for name, number in numbers.items():
            phases[name][str(count)] = _us(partial(codec.model.repeat_phase, inputs, number, count), count)
    predictions = config.empty_predictions(len(tokens))
    stream = codec.encode(job.record, job.record_type)
    if codec.decode(stream, len(job.record), job.record_type) != job.record:
        raise ValueError("the record was not decoded as it was encoded")
    record_type = config.type_id(job.record_type)
    calls: dict[str, Callable[[], Any]] = {
        "coding": partial(codec.model.encode_predicted, tokens, record_type, *predictions),
        "encode": partial(codec.encode, job.record, job.record_type),
        "decode": partial(codec.decode, stream, len(job.record), job.record_type),
    }
    whole = {name: _us(partial(_again, call), len(tokens)) for name, call in calls.items()}
    return {
        "processor": _core.cpu(),
        "phases": phases,
        "tokens": len(tokens),
        "multiply_adds": config.macs_per_token,
        **whole,
    }


def _again(call: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        call()


def _us(call: Callable[[int], Any], tokens: int) -> float:
    """µs a token of `call(times)`, which takes so many each time, beyond `call(0)`: the median of some repeats.

    They are so many times that they take longer than what comes before them, whose time varies where others share the
    core.
    """
    call(1)
    times = 1
    while not _outweighs([_seconds(call, times) for _ in range(_PROBES)], [_seconds(call, 0) for _ in range(_PROBES)]):
        times *= 2
    found = [_seconds(call, times) - _seconds(call, 0) for _ in range(REPEATS)]
    return round(median(found) / times / tokens * 1e6, 3)


def _outweighs(whole_s: list[float], start_s: list[float]) -> bool:
    return min(whole_s) >= max(2 * max(start_s), max(start_s) + _MIN_S)


def _seconds(call: Callable[[int], Any], times: int) -> float:
    begin = time.process_time()  # what else the machine does is no part of it
    call(times)
    return time.process_time() - begin


def main() -> None:
    """The process."""
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301
    print(json.dumps(run(job)))
