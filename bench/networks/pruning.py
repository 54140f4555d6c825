"""A network with fewer feed-forward channels and n-gram rows, before and after it is trained on, beside itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bench.networks.measure import Coding, decode_us_per_token
from train_app.network.model import NeuralModel, load_model
from train_app.network.pruning import NO_PRUNING, Pruning, pruned_start
from train_app.network.settings import NeuralTrainConfig
from train_app.network.start import Start
from train_app.network.train import train_network
from train_app.samples.sample import Sample

AS_IT_IS = "as it is"


def run(
    given: tuple[NeuralModel, Tokenizer],
    training: list[Sample],
    watching: list[Sample],
    tested: Sequence[Sample],
    prunings: Sequence[Pruning],
    settings: NeuralTrainConfig,
    folder: Path,
    on_step: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Rows {network, trained, decode_us_per_token, sizes, sets}: each pruned network, and the one it was, before and
    after as much training on. Needs a Ray session; `folder` holds the runs. Raises TrainingFailed.
    """
    model, tokenizer = given
    codings: dict[tuple[str, bool], Coding] = {}
    for number, pruning in enumerate((NO_PRUNING, *prunings)):
        run_folder = folder / str(number)
        start = Start.of_model(model, tokenizer, run_folder)
        if pruning:
            start = pruned_start(start, training, pruning, run_folder)
        on_step(f"{name_of(pruning)}: quantising")
        codings[name_of(pruning), False] = Coding.of(load_model(start.checkpoint), tokenizer, training)
        on_step(f"{name_of(pruning)}: training")
        after, _, _ = train_network(training, watching, start, settings, run_folder, lambda _line: None)
        codings[name_of(pruning), True] = Coding.of(after, tokenizer, training)
    on_step("measuring")
    sized = {name: coding for (name, trained), coding in codings.items() if trained}
    us = dict(zip(sized, decode_us_per_token([*sized.values()], tested), strict=True))
    return [
        {"network": name, "trained": trained, "decode_us_per_token": us[name]} | coding.sizes() | coding.bits(tested)
        for (name, trained), coding in codings.items()
    ]


def name_of(pruning: Pruning) -> str:
    """For a row."""
    if not pruning:
        return AS_IT_IS
    parts = [f"{pruning.channels:.0%} of channels"] if pruning.channels else []
    parts += [f"tables halved {pruning.halvings} x"] if pruning.halvings else []
    return "without " + ", ".join(parts) if pruning.channels else parts[0]
