"""Altered copies of the records that a network learns from, as its settings say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from train_app.augment.copies import Augmented, Augmenting, augmented
from train_app.network.settings import NeuralTrainConfig
from train_app.samples.sample import Sample

_TOLD_RECORDS = 500


def copies_for(
    training: list[Sample],
    validation: list[Sample],
    settings: NeuralTrainConfig,
    on_line: Callable[[dict[str, Any]], None],
) -> Augmented:
    """Of `training` alone, none equal to what is validated by. `on_line` is told {"augmenting": share of them}, and at
    the end {"augmented": how many copies by augmentation}."""
    done = 0

    def on_record() -> None:
        nonlocal done
        done += 1
        if done % _TOLD_RECORDS == 0:
            on_line({"augmenting": done / len(training)})

    how = Augmenting(settings.augment, settings.augment_copies, settings.seed)
    made = augmented(training, how, validation, on_record)
    on_line({"augmented": {name.value: made.counts[name] for name in settings.augment}})
    return made
