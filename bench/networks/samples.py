"""Records as training takes them: to learn from, and to measure on."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from cluster import config as configuration
from nbmf.neural.record_types import TYPE_OF_KIND
from train_app.config import DEFAULT_FILE, TrainConfig
from train_app.samples.opening import Reading
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample
from train_app.samples.split import for_learned_coders, some, split


class Samples(NamedTuple):
    """What a network is trained on, what watches the training, and what it is measured on."""

    learnt_from: list[Sample]
    watched: list[Sample]
    tested: list[Sample]


def read(
    train: str, data: str, payload_field: str | None, set_field: str | None, every: int, tested_bytes: int
) -> Samples:
    """Each `every`th record of `train`, and about `tested_bytes` of each set of `data`. Raises RecordsError."""
    learnt_from, watched = split(to_learn_from(train, payload_field, set_field)[::every])
    return Samples(learnt_from, watched, some_of_each(to_learn_from(data, payload_field, set_field), tested_bytes))


def to_learn_from(path: str, payload_field: str | None, set_field: str | None) -> list[Sample]:
    """All good and distinct records of a file or folder, less what learned coders do not take. Raises RecordsError."""
    config = configuration.load(TrainConfig, None, DEFAULT_FILE)
    intake = Intake(config.max_record_bytes)
    rows = rows_of(Reading(payload_field, class_field=set_field).open([path]))
    samples = [sample for row in rows if (sample := intake.sample(row))]
    return for_learned_coders(sorted(samples, key=lambda sample: sample.digest))


def some_of_each(samples: list[Sample], most_bytes: int) -> list[Sample]:
    """About as many bytes of each class, or kind, that a network codes."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.kind in TYPE_OF_KIND:
            groups[sample.group or sample.kind.label].append(sample)
    return [sample for _, group in sorted(groups.items()) for sample in some(group, most_bytes)]
