"""A codec learnt in this process, for measurements: not published, and without Ray where no network trains."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cluster import config as configuration
from nbmf.codec import Codec
from nbmf.manifest import Manifest
from nbmf.payload import Canonical
from train_app.config import TrainConfig
from train_app.job import dictionary_part
from train_app.learned_part import LearningPlan, train_part
from train_app.network.settings import NeuralTrainConfig, default_file
from train_app.samples.sample import Sample

NONE = "none"
_PROVISIONAL_ID = "ff" * 32


def learn(
    preset: str,
    samples: list[Sample],
    config: TrainConfig,
    max_minutes: float | None = None,
    *,
    dictionaries: bool = True,
) -> Codec:
    """What `nbmf train --preset` makes of the samples. Raises TrainingFailed."""
    manifest, files = dictionary_part(samples if dictionaries else [], config, preset, {}, lambda: None)
    if preset != NONE:
        overrides = {"max_minutes": max_minutes}
        settings = configuration.load(NeuralTrainConfig, None, default_file(preset), overrides)
        with tempfile.TemporaryDirectory() as runs:
            plan = LearningPlan(preset, settings, Path(runs))
            fields, learnt, _ = train_part(samples, [], plan, lambda _line: None, lambda: None)
        manifest |= fields
        files |= learnt
    return Codec(_PROVISIONAL_ID, Manifest.of({**manifest, "files": {}}), files)


def coded_bytes(codec: Codec, samples: list[Sample], chunk_records: int = 64) -> int:
    """Bytes of whole blobs of all samples, each coded alone."""
    pairs = [Canonical(sample.kind, sample.canonical) for sample in samples]
    chunks = [pairs[at : at + chunk_records] for at in range(0, len(pairs), chunk_records)]
    return sum(len(blob) for chunk in chunks for blob in codec.encode_canonical_batch(chunk))
