"""The network's part of a training run: train or go on, quantise, fit, time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmf.coders import NeuralCoder
from nbmf.manifest import NeuralPart
from nbmf.neural.config import PRESETS
from train_app.neural.job import split, train_network
from train_app.neural.settings import NeuralTrainConfig
from train_app.neural.version import CONSTANTS_FILE, MODEL_FILE, STEPS, TOKENIZER_FILE, build
from train_app.prepare import Sample

ARCHITECTURE = "transformer"
_TIMED_RECORDS = 40


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """Which network, how to train it, and where the run's checkpoints and logs are kept."""

    preset: str
    settings: NeuralTrainConfig
    runs_folder: Path
    init_from: Path | None = None

    def run_folder(self, samples: list[Sample]) -> Path:
        """The same for the same records and settings, so that the same command goes on with a stopped run."""
        what = hashlib.sha256(f"{self.settings.model_dump_json()}{self.preset}{self.init_from or ''}".encode())
        for sample in samples:
            what.update(sample.digest)
        return self.runs_folder / f"{self.preset}-{what.hexdigest()[:12]}"


def train_part(
    training: list[Sample],
    validation: list[Sample],
    plan: NetworkPlan,
    on_line: Callable[[dict[str, Any]], None],
    on_step: Callable[[], None],
) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Any]]:
    """(manifest fields, files, measurements) of the network for a version. Raises TrainingFailed.

    `validation` watches the training, and the adaptation is fitted on it; where empty, it is taken from `training`.
    """
    folder = plan.run_folder(training).absolute()
    if not validation:
        training, validation = split(training)
    config = PRESETS[plan.preset]
    init_from = plan.init_from.absolute() if plan.init_from else None
    model, tokenizer, _ = train_network(training, validation, config, plan.settings, folder, on_line, init_from)
    network = build(model, tokenizer, training, validation, on_step)
    part = NeuralPart(
        model=MODEL_FILE,
        tokenizer=TOKENIZER_FILE,
        constants=CONSTANTS_FILE,
        max_payload_bytes=plan.settings.max_payload_bytes,
        decode_us_per_byte=1.0,
    )
    timed = part.model_copy(update={"decode_us_per_byte": _decode_us_per_byte(part, network.files, validation)})
    measured = {"quantisation": network.quantisation, "parameters": model.config.n_parameters}
    return {"architecture": ARCHITECTURE, "neural": timed.model_dump()}, network.files, measured


def _decode_us_per_byte(part: NeuralPart, files: dict[str, bytes], samples: list[Sample]) -> float:
    """The whole time over the whole length, after one record to warm up."""
    coder = NeuralCoder(part, files)
    seconds, size = 0.0, 0
    for index, sample in enumerate(samples[: _TIMED_RECORDS + 1]):
        body = coder.encode(sample.kind, sample.canonical)
        if body is None:
            continue
        start = time.perf_counter()
        coder.decode(sample.kind, body, len(sample.canonical))
        if index:
            seconds += time.perf_counter() - start
            size += len(sample.canonical)
    return round(seconds * 1e6 / size, 2) if size else 1.0


__all__ = ["STEPS", "NetworkPlan", "train_part"]
