"""Which samples a network's training is watched by, and what of samples the learned coders are given."""

from __future__ import annotations

from dataclasses import replace

from train_app.samples.binary import learnt_of
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
    """Those of which something is learnt, each less what is not: arrays and images, base64 and floats inside text."""
    learnt = [learnt_of(s.kind, s.canonical) if s.learnt is None else s.learnt for s in samples]
    return [
        one if text == one.canonical else replace(one, canonical=text, learnt=text)
        for one, text in zip(samples, learnt, strict=True)
        if text
    ]
