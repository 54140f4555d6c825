"""Which samples a network's training is watched by, and what of samples the learned coders are given."""

from __future__ import annotations

from dataclasses import replace

from nbmf.coders import spans
from nbmf.coders.neural import worth_learning
from train_app.samples.sample import Sample

WATCHED_BYTES = 600_000


def split(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """(to learn from, to watch by): every twentieth, as many as fit a bound."""
    validation, training, taken = [], [], 0
    for index, sample in enumerate(samples):
        if index % 20 == 0 and taken < WATCHED_BYTES:
            validation.append(sample)
            taken += len(sample.canonical)
        else:
            training.append(sample)
    return training, validation


def some(samples: list[Sample], most_bytes: int) -> list[Sample]:
    """Evenly spread, about as many as make so many bytes."""
    return samples[:: 1 + sum(len(s.canonical) for s in samples) // (most_bytes + 1)]


def for_learned_coders(samples: list[Sample]) -> list[Sample]:
    """Those that learned coders take, each less its spans: no arrays or images, no base64 or floats inside text."""
    taken = [sample for sample in samples if worth_learning(sample.kind, sample.canonical)]
    cuts = [spans.cut(sample.kind, sample.canonical) for sample in taken]
    return [replace(one, canonical=cut.remaining) if cut else one for one, cut in zip(taken, cuts, strict=True)]
