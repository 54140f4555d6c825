"""What more records would bring: versions learnt from a quarter, a half and all of those there are, measured on others.

What a doubling saves was measured twice. Further ones are expected to save somewhere between less and less, as it fell
from the first to the second, and as much as the second; and that with some room, by which the range held where it was
tried (docs/data.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

from cluster.errors import TooFewRecords
from nbmf.builtin import default_codec
from train_app.config import TrainConfig
from train_app.learnt_codec import coded_bytes, learn
from train_app.samples.bounded import BoundedSample
from train_app.samples.sample import Sample
from train_app.samples.split import for_learned_coders

PARTS = (4, 2, 1)
MIN_RECORDS = 200
TRIED_TIMES = 4
"""As many records as there are, times this, is how far the range was tried."""

_MEASURED_BYTES = 400_000
_LEAST_ROOM, _MOST_ROOM = 0.65, 1.1


@dataclass(frozen=True, slots=True)
class Point:
    """Records learnt from, and what a version makes of the records to measure on: bytes of all blobs."""

    records: int
    coded_bytes: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Three points, each of twice the records of the one before; and what they are measured on: records, their bytes,
    and what the built-in version makes of them."""

    preset: str
    measured_records: int
    raw_bytes: int
    built_in_bytes: int
    points: tuple[Point, Point, Point]

    def expected(self, more: int) -> tuple[float, float]:
        """Coded bytes with so many more records: (at most, at least)."""
        now = self.points[-1]
        first, second = self._savings()
        doublings = log2((now.records + more) / now.records)
        falling = min(1.0, second / first) if first > 0 else 1.0
        least = doublings if falling == 1.0 else falling * (1 - falling**doublings) / (1 - falling)
        return now.coded_bytes - _LEAST_ROOM * second * least, now.coded_bytes - _MOST_ROOM * second * doublings

    def _savings(self) -> tuple[int, int]:
        """Of the two doublings; none where there were more bytes."""
        few, half, whole = (point.coded_bytes for point in self.points)
        return max(0, few - half), max(0, half - whole)

    def to_dict(self, more: int) -> dict[str, Any]:
        """For JSON: `points`, and the share of bytes that `more` records would save, at least and at most."""
        most, least = self.expected(more)
        now = self.points[-1].coded_bytes
        return {
            "preset": self.preset,
            "measured_records": self.measured_records,
            "measured_bytes": self.raw_bytes,
            "built_in_bytes": self.built_in_bytes,
            "points": [asdict(point) for point in self.points],
            "more_records": more,
            "saves_at_least": round(1 - most / now, 4),
            "saves_at_most": round(1 - max(least, 1) / now, 4),
        }


def learning_curve(
    training: Sequence[Sample],
    holdout: Sequence[Sample],
    preset: str,
    config: TrainConfig,
    on_step: Callable[[], None],
) -> Curve:
    """Of samples ordered by digest. Raises TooFewRecords, TrainingFailed."""
    learnt_from = for_learned_coders(list(training))
    if len(learnt_from) < MIN_RECORDS:
        raise TooFewRecords(f"{len(learnt_from)} records with text to learn from; a curve needs {MIN_RECORDS}")
    measured = BoundedSample(_MEASURED_BYTES)
    for sample in holdout:
        measured.add(sample)
    samples = measured.samples()
    points = []
    for part in PARTS:
        some = learnt_from[: len(learnt_from) // part]
        codec = learn(preset, some, config, dictionaries=False)
        points.append(Point(len(some), coded_bytes(codec, samples)))
        on_step()
    few, half, whole = points
    raw_bytes, built_in_bytes = sum(len(s.canonical) for s in samples), coded_bytes(default_codec(), samples)
    return Curve(preset, len(samples), raw_bytes, built_in_bytes, (few, half, whole))
