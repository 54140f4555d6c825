"""What the presets of `nbmf train` make of few and of many records: each trained, and tried on others of the same set.

Counted as `nbmf train` counts: whole blobs, each record coded alone, with effort "auto".
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from bench.records import BenchRecord, NothingToMeasure
from cluster import config as configuration
from cluster.measure import BASELINES
from nbmf import Codec
from nbmf.builtin import default_codec
from nbmf.manifest import Manifest
from nbmf.payload import Canonical
from train_app.config import TrainConfig
from train_app.job import dictionary_part
from train_app.learned_part import LearningPlan, train_part
from train_app.network.settings import NeuralTrainConfig, default_file
from train_app.samples.sample import Sample

BUILTIN, NONE = "built-in", "none"
_CHUNK_RECORDS = 64
_PROVISIONAL_ID = "ff" * 32


def run(
    records: Sequence[BenchRecord],
    sizes: Sequence[int],
    unseen: int,
    presets: Sequence[str],
    config: TrainConfig,
    max_minutes: float | None,
    on_step: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Rows {set, records, bytes, ratios: {name: total ratio on `unseen` others}, minutes: {preset: to learn}}.

    `max_minutes` is for each training of a network, without it that of the preset's file; such presets need a Ray
    session. Sets with fewer records than the size and the unseen together have no row of that size.
    """
    sets: dict[str, dict[bytes, BenchRecord]] = defaultdict(dict)
    for record in records:
        sets[record.set].setdefault(record.canonical, record)
    rows = []
    for name, distinct in sorted(sets.items()):
        shuffled = list(distinct.values())
        random.Random(0).shuffle(shuffled)
        tried, rest = shuffled[:unseen], shuffled[unseen:]
        given = [size for size in sizes if size <= len(rest)]
        if not given:
            continue
        on_step(f"{name}: built-in")
        fixed = {label: sum(measure(r.canonical) for r in tried) for label, measure in BASELINES.items()}
        fixed[BUILTIN] = _coded_bytes(default_codec(), tried)
        raw = sum(len(r.canonical) for r in tried)
        for size in given:
            samples = [_sample(r) for r in rest[:size]]
            row: dict[str, Any] = {"set": name, "records": size, "bytes": sum(len(s.canonical) for s in samples)}
            coded, row["minutes"] = dict(fixed), {}
            for preset in presets:
                on_step(f"{name}, {size} records: {preset}")
                began = time.monotonic()
                codec = _learn(preset, samples, config, max_minutes)
                row["minutes"][preset] = round((time.monotonic() - began) / 60, 2)
                coded[preset] = _coded_bytes(codec, tried)
            row["ratios"] = {label: round(raw / total, 4) for label, total in coded.items()}
            rows.append(row)
    if not rows:
        raise NothingToMeasure(f"no set has {min(sizes)} records to learn from and {unseen} others to try")
    return rows


def _learn(preset: str, samples: list[Sample], config: TrainConfig, max_minutes: float | None) -> Codec:
    """What `nbmf train --preset` makes of the samples."""
    manifest, files = dictionary_part(samples, config, preset, {}, lambda: None)
    if preset != NONE:
        overrides = {"max_minutes": max_minutes}
        settings = configuration.load(NeuralTrainConfig, None, default_file(preset), overrides)
        with tempfile.TemporaryDirectory() as runs:
            plan = LearningPlan(preset, settings, Path(runs))
            fields, learnt, _ = train_part(samples, [], plan, lambda _line: None, lambda: None)
        manifest |= fields
        files |= learnt
    return Codec(_PROVISIONAL_ID, Manifest.of({**manifest, "files": {}}), files)


def _sample(record: BenchRecord) -> Sample:
    digest = blake2b(bytes([record.kind]) + record.canonical, digest_size=16).digest()
    return Sample(record.kind, record.canonical, digest)


def _coded_bytes(codec: Codec, records: Sequence[BenchRecord]) -> int:
    pairs = [Canonical(record.kind, record.canonical) for record in records]
    chunks = [pairs[at : at + _CHUNK_RECORDS] for at in range(0, len(pairs), _CHUNK_RECORDS)]
    return sum(len(blob) for chunk in chunks for blob in codec.encode_canonical_batch(chunk))
