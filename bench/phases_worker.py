"""A process of `nbmf bench phases`: each phase of a token by itself, in compiled code.

A pickled Job comes in on standard input, a JSON object goes out. The phases are the inner functions of the loop that
codes (nbmf.neural.compiled), called for all layers again and again: their weights are then in a nearer cache than
in the loop, which reads all weights for each step. The loop as a whole is measured too.
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

import numpy as np

from bench.exact_worker import processor_name
from nbmf.manifest import read_version
from nbmf.neural import compiled as loop
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.dot import row_products
from nbmf.neural.jit import compiled
from nbmf.neural.network import Cache, Network, Scratch, make_network, new_cache, new_scratch
from nbmf.neural.scalars import Whole
from nbmf.neural.weights import IntegerWeights

PHASES = (
    "queries, keys, values: products",
    "keys and values into the cache",
    "attention",
    "its output",
    "feed-forward",
    "head: products",
    "head, with products",
    "embeddings",
    "norms",
    "network",
)
"""By number; "network" is all of them as they are run."""

AT_ONCE = (1, 16)
"""Tokens of a record in one step: decoding knows one, encoding all."""

REPEATS = 7
_MIN_S = 0.03
_SEED = 5


@dataclass(frozen=True, slots=True)
class Job:
    """A version's folder, and a record whose tokens are coded."""

    version: Path
    record: bytes
    record_type: str


@compiled
def _repeat(network: Network, cache: Cache, scratch: Scratch, count: Whole, phase: Whole, times: Whole) -> None:
    layers = len(network.expand_LFD)
    for _ in range(times):
        if phase == 0:
            for layer in range(layers):
                loop._project(network, scratch, layer, count)
        elif phase == 1:
            for layer in range(layers):
                for b in range(count):
                    loop._keep(network, cache, scratch, layer, b)
        elif phase == 2:
            for layer in range(layers):
                loop._attend(network, cache, scratch, layer, count)
        elif phase == 3:
            for layer in range(layers):
                out, scale = network.attention_out_LDD[layer], network.attention_out_scale_LD[layer]
                loop._add_products(scratch, count, out, scale, scratch.y_BD)
        elif phase == 4:
            for layer in range(layers):
                loop._feed_forward(network, scratch, layer, count)
        elif phase == 5:
            head = network.head_VD
            row_products(head, scratch.y_BD, count, 0, len(head), scratch.frequency_BV, scratch.products)
        elif phase == 6:
            loop._head(network, scratch, count)
        elif phase == 7:
            for b in range(count):
                loop._embed(network, cache, scratch, b)
            loop._add_products(scratch, count, network.memory_in_DM, network.memory_in_scale_D, scratch.memory_BM)
        elif phase == 8:
            for n in range(len(network.norm_factor_N)):
                for b in range(count):
                    loop._norm(scratch.x_BD[b], network.norm_factor_N[n], scratch.y_BD[b])
        else:
            loop.next_frequencies(network, cache, scratch, count)


def run(job: Job) -> dict[str, Any]:
    """µs a token: {"phases": {name: {at once: µs}}, "coding", "encode", "decode"}, and what it was measured on."""
    _, manifest, files = read_version(job.version)
    part = manifest.neural
    if part is None or part.model is None:
        raise ValueError(f"{job.version} has no network")
    counts = files[part.counts] if part.counts else None
    codec = NeuralCodec.from_files(files[part.tokenizer], files[part.constants], files[part.model], counts)
    weights, config = IntegerWeights.load(files[part.model])
    network = make_network(weights, config)
    phases: dict[str, dict[str, float]] = {name: {} for name in PHASES}
    random = np.random.default_rng(_SEED)
    for count in AT_ONCE:
        cache = new_cache(config, at_once=count)
        scratch = new_scratch(config, cache, count)
        for _ in range(-(-config.window // count) + 1):  # the window is full
            scratch.token_B[:] = random.integers(config.vocab_size, size=count)
            loop.next_frequencies(network, cache, scratch, count)
        for number, name in reversed([*enumerate(PHASES)]):  # the network first: it leaves what phases find
            phases[name][str(count)] = _us(partial(_repeat, network, cache, scratch, count, number), count)
    tokens = codec.tokens(job.record)
    frequencies = np.ones((len(tokens), config.vocab_size), dtype=np.int32)
    stream = codec.encode(job.record, job.record_type)
    if codec.decode(stream, len(job.record), job.record_type) != job.record:
        raise ValueError("the record was not decoded as it was encoded")
    record_type = config.type_id(job.record_type)
    calls: dict[str, Callable[[], Any]] = {
        "coding": partial(codec.encode_predicted, frequencies, record_type, tokens),
        "encode": partial(codec.encode, job.record, job.record_type),
        "decode": partial(codec.decode, stream, len(job.record), job.record_type),
    }
    whole = {name: _us(partial(_again, call), len(tokens)) for name, call in calls.items()}
    return {
        "processor": processor_name(),
        "phases": phases,
        "tokens": len(tokens),
        "multiply_adds": config.macs_per_token,
        **whole,
    }


def _again(call: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        call()


def _us(call: Callable[[int], Any], tokens: int) -> float:
    """µs a token of `call(times)`, which takes so many each time: the median of some repeats."""
    call(1)
    times, took = 1, 0.0
    while True:
        begin = time.perf_counter()
        call(times)
        took = time.perf_counter() - begin
        if took >= _MIN_S:
            break
        times *= 2
    found = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call(times)
        found.append(time.perf_counter() - begin)
    return round(median(found) / times / tokens * 1e6, 3)


def main() -> None:
    """The process."""
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301
    print(json.dumps(run(job)))
