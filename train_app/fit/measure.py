"""What a version makes of records, in this process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cluster.errors import TooFewRecords
from cluster.sources import Source
from nbmf.builtin import default_codec
from nbmf.codec import Codec
from nbmf.manifest import Manifest
from train_app.config import TrainConfig
from train_app.fit.verdicts import Fit, fits_by_class, fits_by_kind
from train_app.results.evaluate import Row, measure_chunk, ratios
from train_app.results.stability import BUILT_IN
from train_app.samples.bounded import BalancedSample
from train_app.samples.prepare import balanced
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample, share

_CHUNK_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was read, what was measured of it, and what that says."""

    intake: Intake
    measured: dict[str, Any]
    classes: list[Fit]
    kinds: list[Fit]


def read(sources: Iterable[Source], config: TrainConfig, on_record: Callable[[], None]) -> tuple[Intake, list[Sample]]:
    """As many distinct records as training measures on, drawn by hash. Raises RecordsError, TooFewRecords for none."""
    intake = Intake(config.max_record_bytes)
    drawn = BalancedSample(config.max_holdout_bytes, config.max_class_bytes)
    for row in rows_of(sources):
        on_record()
        if sample := intake.sample(row):
            drawn.add(sample)
    samples = drawn.samples()
    if not samples:
        raise TooFewRecords(" ".join(["no record is left to measure.", *intake.rejections.lines(intake.records)]))
    return intake, samples


def held_out(
    sources: Iterable[Source], config: TrainConfig, on_record: Callable[[], None]
) -> tuple[Intake, list[Sample], list[Sample]]:
    """What was read, and records to learn from and to measure on, as `nbmf train` takes them. Raises RecordsError."""
    intake = Intake(config.max_record_bytes)
    training = BalancedSample(config.max_training_bytes, config.max_class_bytes)
    holdout = BalancedSample(config.max_holdout_bytes, config.max_class_bytes)
    for row in rows_of(sources):
        on_record()
        if sample := intake.sample(row):
            (holdout if share(sample.digest) < config.holdout_fraction else training).add(sample)
    return intake, *balanced(training.samples(), holdout.samples())


def evaluate(
    intake: Intake, samples: list[Sample], codec: Codec, manifest: Manifest, on_records: Callable[[int], None]
) -> Evaluated:
    """What a version makes of samples, each decoded and compared, beside the built-in version."""
    built_in = default_codec()
    others = {BUILT_IN: built_in} if built_in.id != codec.id else {}
    rows: list[Row] = []
    for at in range(0, len(samples), _CHUNK_RECORDS):
        chunk = samples[at : at + _CHUNK_RECORDS]
        rows += measure_chunk(chunk, codec, others)
        on_records(len(chunk))
    measured = ratios(rows, by_class=True)
    kinds: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        kinds[row.record_class][row.kind] = kinds[row.record_class].get(row.kind, 0) + row.text_bytes
    return Evaluated(intake, measured, fits_by_class(measured, kinds, manifest), fits_by_kind(measured, manifest))
