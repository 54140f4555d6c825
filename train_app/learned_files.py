"""From a trained network and training records to a version's files: integers, vocabulary, counts, constants."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from cluster.version_scan import found_entries
from nbmf.neural.config import NeuralConfig
from nbmf.neural.constants import Constants, default_constants, save_constants
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import save_counts
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.vocabulary import Vocabulary
from nbmf.neural.weights import IntegerWeights
from train_app.adaptation.adaptation_facts import Facts, collect_facts
from train_app.adaptation.core_engine import CoreEngine
from train_app.adaptation.counts_facts import counts_facts, fit_counts, fit_network_share, joined_facts
from train_app.adaptation.fit_adaptation import Fit, fit_copy, fit_gates, fit_scalars
from train_app.counts.count import drop_entries, train_counts
from train_app.counts.merge_counts import best_merger
from train_app.integers.quantisation_loss import quantisation_loss
from train_app.integers.quantise import calibrate, quantise
from train_app.network.calibration import some_batches
from train_app.network.model import NeuralModel
from train_app.network.settings import NeuralTrainConfig
from train_app.samples.sample import Sample
from train_app.samples.tokens import TokenStream, tokenise_samples
from train_app.vocabulary.tokenizer import TOKENIZER_FILE

MODEL_FILE, COUNTS_FILE = "model.safetensors", "counts.zst"
CONSTANTS_FILE, COUNTS_CONSTANTS_FILE = "adaptation.safetensors", "adaptation.counts.safetensors"
_CALIBRATION_RECORDS = 4000
_LOSS_RECORDS = 60
_FIT_BYTES = 600_000
_GATE_STEPS = 20
STEPS = 5
"""How often `build` calls `on_step`."""


@dataclass(slots=True)
class Learned:
    """The files, and what rounding to integers cost."""

    files: dict[str, bytes]
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IntegerNetwork:
    """A network that is quantised already: the content of its file."""

    file: bytes


@dataclass(frozen=True, slots=True)
class Before:
    """What a version that is started from has, beside its network."""

    counts: Counts | None = None
    counts_constants: Constants | None = None
    constants: Constants | None = None  # of the network with the counts
    files: dict[str, bytes] = field(default_factory=dict)  # all of it, by the names that ours have


def build(
    model: NeuralModel | IntegerNetwork | None,
    tokenizer: Tokenizer,
    training: list[Sample],
    tuning: list[Sample],
    settings: NeuralTrainConfig,
    on_step: Callable[[], None],
    before: Before | None = None,
) -> Learned:
    """Quantises with activations of `training` and counts it; fits the rest on `tuning`, which was not learnt from.

    Without a model, or with no bytes for counts, a version with the other part alone. Counts are added to those of
    `before`, and fitting starts where its ended.
    """
    before = before or Before()
    learned = Learned({TOKENIZER_FILE: tokenizer.to_str().encode()})
    stream = tokenise_samples(tuning, tokenizer)
    engine = None
    if isinstance(model, IntegerNetwork):
        learned.files[MODEL_FILE] = model.file
        engine = CoreEngine(*IntegerWeights.load(model.file))
    elif model:
        engine = _quantise(model, training, tokenizer, stream, learned)
    on_step()
    vocabulary = engine.config if engine else Vocabulary(tokenizer.get_vocab_size())
    facts = collect_facts(engine, stream, vocabulary, _FIT_BYTES // len(set(stream.sets)))
    on_step()
    counts = None
    if settings.max_counts_bytes:
        counted = tokenise_samples(training, tokenizer)
        counts = train_counts(counted, vocabulary, settings.max_counts_bytes, settings.counts_across_classes)
        counts = _without_personal(counts, tokenizer, learned)
    on_step()
    if counts:
        counts = fit_counts(best_merger(before.counts, counts, facts) if before.counts else counts, facts)
        learned.files[COUNTS_FILE] = save_counts(counts)
        learned.files[COUNTS_CONSTANTS_FILE] = _constants_file(
            _fit(counts_facts(counts, facts).facts, before.counts_constants)
        )
    on_step()
    if engine:
        flat_share = facts.flat_share() if settings.flat_share is None else settings.flat_share
        constants = _fit_beside_counts(facts, counts, before.constants)._replace(flat_share=np.array([flat_share]))
        learned.files[CONSTANTS_FILE] = _constants_file(constants)
    on_step()
    return learned


def _without_personal(counts: Counts, tokenizer: Tokenizer, learned: Learned) -> Counts:
    """Without what looks like a secret or somebody's address: two records may hold the same."""
    bytes_of_id = NeuralTokenizer.from_json(tokenizer.to_str()).bytes_of_id
    mask_N = np.zeros(len(counts.token_N), dtype=bool)
    mask_N[found_entries(counts, bytes_of_id)] = True
    kept = drop_entries(counts, mask_N)
    learned.measured["counts"] = len(kept.token_N)
    learned.measured["counts_left_out"] = len(counts.token_N) - len(kept.token_N)
    return kept


def made_integer(model: NeuralModel, training: list[Sample], tokenizer: Tokenizer) -> IntegerWeights:
    """The network in integers, its steps by what activations are for some of `training`."""
    calibration_stream = tokenise_samples(training[:_CALIBRATION_RECORDS], tokenizer)
    return quantise(model, calibrate(model, some_batches(calibration_stream, model)))


def model_file(weights: IntegerWeights, config: NeuralConfig) -> bytes:
    """The content of a version's MODEL_FILE."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / MODEL_FILE
        weights.save(path, config)
        return path.read_bytes()


def _quantise(
    model: NeuralModel, training: list[Sample], tokenizer: Tokenizer, tuning: TokenStream, learned: Learned
) -> CoreEngine:
    weights = made_integer(model, training, tokenizer)
    engine = CoreEngine(weights, model.config)
    learned.measured["quantisation"] = quantisation_loss(
        model, engine, tuning, max(1, len(tuning.sets) // _LOSS_RECORDS)
    )
    learned.files[MODEL_FILE] = model_file(weights, model.config)
    return engine


def _fit_beside_counts(facts: Facts, counts: Counts | None, before: Constants | None) -> Constants:
    if counts is None:
        return _fit(facts, before)
    counted = counts_facts(counts, facts)
    share_SOCC = fit_network_share(facts, counted, before.network_share_SOCC if before else None)
    return _fit(joined_facts(facts, counted, share_SOCC), before)._replace(network_share_SOCC=share_SOCC)


def _fit(facts: Facts, before: Constants | None) -> Constants:
    fit = Fit(facts)
    copied = fit_copy(fit, before or default_constants(), fitted_before=before is not None)
    return fit_scalars(fit, fit_gates(fit, copied, steps=_GATE_STEPS))


def _constants_file(constants: Constants) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / CONSTANTS_FILE
        save_constants(constants, path)
        return path.read_bytes()
