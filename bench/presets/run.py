"""What the presets of `nbmf train` make of few and of many records: each trained, and tried on others of the same set.

Counted as `nbmf train` counts: whole blobs, each record coded alone, with effort "auto".
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from bench.records import BenchRecord, NothingToMeasure
from cluster.measure import BASELINES
from nbmf.builtin import default_codec
from train_app.config import TrainConfig
from train_app.learnt_codec import coded_bytes, learn
from train_app.samples.sample import Sample, digest_of

BUILTIN = "built-in"


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
        tried, rest = [_sample(r) for r in shuffled[:unseen]], shuffled[unseen:]
        given = [size for size in sizes if size <= len(rest)]
        if not given:
            continue
        on_step(f"{name}: built-in")
        fixed = {label: sum(measure(r.canonical) for r in tried) for label, measure in BASELINES.items()}
        fixed[BUILTIN] = coded_bytes(default_codec(), tried)
        raw = sum(len(r.canonical) for r in tried)
        for size in given:
            samples = [_sample(r) for r in rest[:size]]
            row: dict[str, Any] = {"set": name, "records": size, "bytes": sum(len(s.canonical) for s in samples)}
            coded, row["minutes"] = dict(fixed), {}
            for preset in presets:
                on_step(f"{name}, {size} records: {preset}")
                began = time.monotonic()
                codec = learn(preset, samples, config, max_minutes)
                row["minutes"][preset] = round((time.monotonic() - began) / 60, 2)
                coded[preset] = coded_bytes(codec, tried)
            row["ratios"] = {label: round(raw / total, 4) for label, total in coded.items()}
            rows.append(row)
    if not rows:
        raise NothingToMeasure(f"no set has {min(sizes)} records to learn from and {unseen} others to try")
    return rows


def _sample(record: BenchRecord) -> Sample:
    return Sample(record.kind, record.canonical, digest_of(record.kind, record.canonical))
