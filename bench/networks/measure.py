"""What a network in integers makes of records: bits by set, and how long it takes to decode them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from bench.records import NotEqual
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.constants import default_constants
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.neural.tokenizer import NeuralTokenizer
from train_app.adaptation.core_engine import CoreEngine
from train_app.integers.quantisation_loss import float_bits, integer_bits
from train_app.learned_files import made_integer, model_file
from train_app.network.model import NeuralModel
from train_app.samples.sample import Sample
from train_app.samples.tokens import tokenise_samples

_ROUNDS = 3
ALL = "all"


@dataclass(frozen=True, slots=True)
class Coding:
    """A network in integers with its vocabulary, as it codes streams: adaptation at its defaults, no counts."""

    codec: NeuralCodec
    engine: CoreEngine
    model: NeuralModel
    tokenizer: Tokenizer
    file_bytes: int

    @classmethod
    def of(cls, model: NeuralModel, tokenizer: Tokenizer, training: list[Sample]) -> Coding:
        """Quantised as `nbmf train` does, with activations of `training`."""
        weights, config = made_integer(model, training, tokenizer), model.config
        codec = NeuralCodec(NeuralTokenizer(tokenizer.to_str()), default_constants(), (weights, config))
        return cls(codec, CoreEngine(weights, config), model, tokenizer, len(model_file(weights, config)))

    def sizes(self) -> dict[str, Any]:
        """What the network is, in numbers."""
        config = self.model.config
        return {
            "layers": config.kinds,
            "d_feed_forward": config.d_feed_forward,
            "parameters": config.n_parameters,
            "macs_per_token": config.macs_per_token,
            "model_bytes": self.file_bytes,
        }

    def bits(self, tested: Sequence[Sample]) -> dict[str, Any]:
        """Bits a byte of the network alone, in integers, by set and in all, and in floats; and the streams' ratio."""
        stream = tokenise_samples(list(tested), self.tokenizer)
        bits: dict[str, float] = defaultdict(float)
        n_bytes: dict[str, int] = defaultdict(int)
        coded: dict[str, int] = defaultdict(int)
        in_floats = 0.0
        for index, sample in enumerate(tested):
            record = stream.tokens_N[stream.starts[index] : stream.starts[index + 1]]
            found = integer_bits(self.engine, record)
            in_floats += float_bits(self.model, record)
            length = len(self.codec.encode(sample.canonical, TYPE_OF_KIND[sample.kind]))
            for name in (str(stream.sets[index]), ALL):
                bits[name] += found
                n_bytes[name] += len(sample.canonical)
                coded[name] += length
        sets = {
            name: {
                "bytes": n_bytes[name],
                "bits_per_byte": round(bits[name] / n_bytes[name], 4),
                "ratio": round(n_bytes[name] / coded[name], 3),
            }
            for name in sorted(bits, key=lambda name: (name != ALL, name))
        }
        return {"sets": sets, "float_bits_per_byte": round(in_floats / n_bytes[ALL], 4)}


def float_bits_by_set(model: NeuralModel, tokenizer: Tokenizer, tested: Sequence[Sample]) -> dict[str, float]:
    """Bits a byte of the float network alone: of ALL, and of each set."""
    stream = tokenise_samples(list(tested), tokenizer)
    bits: dict[str, float] = defaultdict(float)
    n_bytes: dict[str, int] = defaultdict(int)
    for index, size in enumerate(stream.n_bytes.tolist()):
        found = float_bits(model, stream.tokens_N[stream.starts[index] : stream.starts[index + 1]])
        for name in (str(stream.sets[index]), ALL):
            bits[name] += found
            n_bytes[name] += size
    return {name: round(bits[name] / n_bytes[name], 4) for name in sorted(bits, key=lambda name: (name != ALL, name))}


def decode_us_per_token(codings: Sequence[Coding], tested: Sequence[Sample]) -> list[float]:
    """Processor time of decoding whole records with each, in turns; the least of some rounds. Raises NotEqual."""
    least = [float("inf")] * len(codings)
    for _ in range(_ROUNDS):
        for place, coding in enumerate(codings):
            least[place] = min(least[place], _decode_us(coding.codec, tested))
    return [round(us, 2) for us in least]


def _decode_us(codec: NeuralCodec, tested: Sequence[Sample]) -> float:
    seconds, tokens = 0.0, 0
    for sample in tested:
        record_type = TYPE_OF_KIND[sample.kind]
        stream = codec.encode(sample.canonical, record_type)
        began = time.process_time()
        decoded = codec.decode(stream, len(sample.canonical), record_type)
        seconds += time.process_time() - began
        tokens += int(np.asarray(codec.tokens(sample.canonical)).size)
        if decoded != sample.canonical:
            raise NotEqual("a record does not decode to what was encoded")
    return seconds * 1e6 / max(1, tokens)
