"""From a trained float network to what a codec version holds: integers, vocabulary, adaptation constants."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from nbmf.neural.constants import default_constants, save_constants
from nbmf.neural.torch_engine import TorchEngine
from train_app.neural.adaptation_facts import collect_facts
from train_app.neural.data import StreamBatches, TokenStream
from train_app.neural.fit_adaptation import Fit, fit_copy, fit_gates, fit_scalars
from train_app.neural.job import tokenise_samples
from train_app.neural.model import NeuralModel
from train_app.neural.quantisation_loss import quantisation_loss
from train_app.neural.quantise import calibrate, quantise
from train_app.prepare import Sample

MODEL_FILE, TOKENIZER_FILE, CONSTANTS_FILE = "model.safetensors", "tokenizer.json", "adaptation.safetensors"
_CALIBRATION_BATCHES, _CALIBRATION_RECORDS = 16, 4000
_LOSS_RECORDS = 60
_FIT_BYTES_PER_KIND = 200_000
_GATE_STEPS = 20
STEPS = 5
"""How often `build` calls `on_step`."""


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """The files, and what rounding to integers cost."""

    files: dict[str, bytes]
    quantisation: dict[str, float]


def build(
    model: NeuralModel,
    tokenizer: Tokenizer,
    training: list[Sample],
    tuning: list[Sample],
    on_step: Callable[[], None],
) -> NetworkFiles:
    """Quantises with activations of `training`, fits the adaptation on `tuning`, which the network has not seen."""
    calibration_stream = tokenise_samples(training[:_CALIBRATION_RECORDS], tokenizer)
    weights = quantise(model, calibrate(model, _calibration_batches(calibration_stream, model)))
    on_step()
    engine = TorchEngine(weights, model.config)
    stream = tokenise_samples(tuning, tokenizer)
    loss = quantisation_loss(model, engine, stream, max(1, len(stream.sets) // _LOSS_RECORDS))
    on_step()
    facts = collect_facts(engine, stream, _FIT_BYTES_PER_KIND)
    on_step()
    fit = Fit(facts, model.config.vocab_size)
    constants = fit_gates(fit, fit_copy(fit, default_constants()), steps=_GATE_STEPS)
    on_step()
    constants = fit_scalars(fit, constants)
    on_step()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights.save(folder / MODEL_FILE, model.config)
        save_constants(constants, folder / CONSTANTS_FILE)
        files = {name: (folder / name).read_bytes() for name in (MODEL_FILE, CONSTANTS_FILE)}
    return NetworkFiles({**files, TOKENIZER_FILE: tokenizer.to_str().encode()}, loss)


def _calibration_batches(stream: TokenStream, model: NeuralModel) -> list[Any]:
    batches = StreamBatches(stream, model.config)
    length = int(min(512, max(1, len(batches) // 2)))
    size = int(np.clip(len(batches) // length - 1, 1, 8))
    epoch = batches.epoch(0, 0, batch_size=size, length=length)
    return [batch for batch, _ in zip(epoch, range(_CALIBRATION_BATCHES), strict=False)]
