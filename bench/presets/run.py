"""What the presets of `nbmf train` make of few and of many records: each trained, and tried on others of the same set.

Counted as `nbmf train` counts: whole blobs, each record coded alone, with effort "auto".
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from bench.records import BenchRecord, NothingToMeasure
from cluster.measure import BASELINES
from cluster.session import session
from nbmf.builtin import default_codec
from train_app.config import TrainConfig
from train_app.learned_part import trains_network
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

    `max_minutes` is for each training of a network, without it that of the preset's file; Ray is started for such
    presets alone. Sets with fewer records than the size and the unseen together have no row of that size. Raises
    NothingToMeasure where there is no row.
    """
    sets: dict[str, dict[bytes, BenchRecord]] = defaultdict(dict)
    for record in records:
        sets[record.set].setdefault(record.canonical, record)
    enough = {name: distinct for name, distinct in sorted(sets.items()) if len(distinct) >= unseen + min(sizes)}
    if not enough:
        raise NothingToMeasure(f"no set has {min(sizes)} records to learn from and {unseen} others to try")
    rows = []
    with session() if any(map(trains_network, presets)) else nullcontext():
        for name, distinct in enough.items():
            shuffled = list(distinct.values())
            random.Random(0).shuffle(shuffled)
            tried, rest = [_sample(r) for r in shuffled[:unseen]], [_sample(r) for r in shuffled[unseen:]]
            on_step(f"{name}: built-in")
            fixed = {label: sum(measure(s.canonical) for s in tried) for label, measure in BASELINES.items()}
            fixed[BUILTIN] = coded_bytes(default_codec(), tried)
            raw = sum(len(s.canonical) for s in tried)
            for samples in (rest[:size] for size in sizes if size <= len(rest)):
                coded, minutes = dict(fixed), {}
                for preset in presets:
                    on_step(f"{name}, {len(samples)} records: {preset}")
                    began = time.monotonic()
                    codec = learn(preset, samples, config, max_minutes)
                    minutes[preset] = round((time.monotonic() - began) / 60, 2)
                    coded[preset] = coded_bytes(codec, tried)
                ratios = {label: round(raw / total, 4) for label, total in coded.items()}
                row = {"set": name, "records": len(samples), "bytes": sum(len(s.canonical) for s in samples)}
                rows.append(row | {"minutes": minutes, "ratios": ratios})
    return rows


def _sample(record: BenchRecord) -> Sample:
    return Sample(record.kind, record.canonical, digest_of(record.kind, record.canonical))
