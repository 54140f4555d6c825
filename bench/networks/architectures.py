"""Transformer, convolutional and hybrid networks of the same sizes, trained on equally many tokens, and for as long.

Each is trained by the code of `nbmf train`, one after the other. As long is as much processor time: a run of the log's
`processor_s` tells how many tokens each learns from in what the first one took, whatever else the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.networks.measure import Coding, decode_us_per_token
from bench.networks.runs import new_folder, processor_s_per_token
from nbmf.neural.config import PRESETS
from train_app.network.architectures import Architecture, with_architecture
from train_app.network.settings import NeuralTrainConfig
from train_app.network.train import train_network
from train_app.samples.sample import Sample

FIRST = Architecture.HYBRID
TOKENS, TIME = "tokens", "time"


class _Run:
    """A network that was trained, and the processor time that a token took."""

    def __init__(self, coding: Coding, lines: list[dict[str, Any]]) -> None:
        self.coding = coding
        self.s_per_token = processor_s_per_token(lines)
        self.tokens = max(int(line["tokens"]) for line in lines if "processor_s" in line)


def run(
    training: list[Sample],
    watching: list[Sample],
    tested: Sequence[Sample],
    preset: str,
    settings: NeuralTrainConfig,
    tokens: int,
    folder: Path,
    on_step: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Rows {architecture, equal: "tokens" or "time", tokens, train_us_per_token, decode_us_per_token, sizes, sets}.

    A hybrid sees `tokens` tokens, and stands in both. Needs a Ray session; `folder` holds the runs. Raises
    TrainingFailed.
    """
    others = [one for one in Architecture if one is not FIRST]
    runs: dict[tuple[str, str], _Run] = {}

    def train(architecture: Architecture, equal: str, most: int) -> _Run:
        on_step(f"{architecture}, {most:,} tokens")
        run_folder = new_folder(folder, f"{architecture}-{equal}")
        made = _trained(training, watching, preset, settings, architecture, most, run_folder)
        runs[architecture, equal] = made
        return made

    first = train(FIRST, TOKENS, tokens)
    for architecture in others:
        per_token = train(architecture, TOKENS, tokens).s_per_token
        train(architecture, TIME, round(first.s_per_token * first.tokens / per_token))
    runs[FIRST, TIME] = first
    on_step("decoding")
    order = [(one, equal) for equal in (TOKENS, TIME) for one in Architecture]
    times = decode_us_per_token([runs[key].coding for key in order[: len(Architecture)]], tested)
    rows = []
    for (architecture, equal), us in zip(order, times * 2, strict=True):
        made = runs[architecture, equal]
        row: dict[str, Any] = {"architecture": architecture.value, "equal": equal, "tokens": made.tokens}
        row |= {"train_us_per_token": round(made.s_per_token * 1e6, 2), "decode_us_per_token": us}
        rows.append(row | made.coding.sizes() | made.coding.bits(tested))
    return rows


def _trained(
    training: list[Sample],
    watching: list[Sample],
    preset: str,
    settings: NeuralTrainConfig,
    architecture: Architecture,
    tokens: int,
    folder: Path,
) -> _Run:
    update = {"network": with_architecture(settings.network, preset, architecture), "max_tokens": tokens}
    settings = settings.model_copy(update=update)
    lines: list[dict[str, Any]] = []
    config = PRESETS[preset].with_(**settings.network)
    model, tokenizer, _ = train_network(training, watching, config, settings, folder, lines.append)
    return _Run(Coding.of(model, tokenizer, training), lines)
