"""Runs of `nbmf train` that are compared with one another: by a budget of tokens alone, with one vocabulary."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.records import NothingToMeasure
from cluster import config as configuration
from nbmf.neural.config import PRESETS
from train_app.network.settings import NeuralTrainConfig, default_file
from train_app.vocabulary.tokenizer import TOKENIZER_FILE

_SEQUENCE, _STEPS = 256, 300
"""Tokens of a sequence; steps at least, in which so few tokens teach more than in few large ones."""
_UNTIMED = {
    **{"max_minutes": 1e6, "max_epochs": 0, "checkpoint_interval_s": 1e9, "compile": False},
    "report_interval_steps": 2,
}
"""Whatever else the machine does."""


def settings_of(file: Path | None, preset: str, tokens: int) -> NeuralTrainConfig:
    """Those of a file, without one of the preset, for so many tokens. Raises ConfigError."""
    return configuration.load(NeuralTrainConfig, file, default_file(preset), {**_UNTIMED, "max_tokens": tokens})


def settings_of_new(preset: str, tokens: int, layers: int | None = None) -> NeuralTrainConfig:
    """Those of a new network, with steps as small as the budget asks for."""
    overrides = {
        **_UNTIMED,
        "max_tokens": tokens,
        "network": {"n_layers": layers or PRESETS[preset].n_layers},
        "batch_size": min(32, max(1, tokens // (_STEPS * _SEQUENCE))),
        "sequence_length": _SEQUENCE,
        "warmup_steps": _STEPS // 15,
    }
    return configuration.load(NeuralTrainConfig, None, default_file(preset), overrides)


def processor_s_per_token(lines: Sequence[dict[str, Any]]) -> float:
    """Of a run's log, after the first report. Raises NothingToMeasure."""
    told = [line for line in lines if "processor_s" in line]
    if len(told) < 2:
        raise NothingToMeasure("the run was over before its second report: give it more --tokens")
    first, last = told[0], told[-1]
    seconds: float = last["processor_s"] - first["processor_s"]
    tokens: int = last["tokens"] - first["tokens"]
    return seconds / max(1, tokens)


def new_folder(parent: Path, name: str) -> Path:
    """For one more run, with the vocabulary of the others: it is learnt once."""
    folder = parent / name
    folder.mkdir(parents=True)
    for vocabulary in sorted(parent.glob(f"*/{TOKENIZER_FILE}"))[:1]:
        shutil.copy(vocabulary, folder)
    return folder
