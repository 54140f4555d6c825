"""On which side of a split a record is: by its hash, unless it is nearly the same as one before it."""

from __future__ import annotations

from collections import Counter

from train_app.data.near import Near, sketch
from train_app.samples.sample import Sample, share

TRAIN, VAL, TEST = "train", "val", "test"
SIDES = (TRAIN, VAL, TEST)


class Sides:
    """Sides of records in order. What comes later changes nothing of what came before.

    The hash is that by which `nbmf train` holds records out: with its share, those of the test side are the same.
    """

    def __init__(self, test_share: float, val_share: float) -> None:
        self._test_share, self._val_share = test_share, val_share
        self._near = {side: Near() for side in SIDES}
        self._kept: dict[bytes, str] = {}
        self.counts: Counter[str] = Counter()
        """`kept` of those that were on a side already, `moved` of those on another than their hash says."""

    def keep(self, sample: Sample, side: str) -> None:
        """A record that is on this side from before."""
        self._kept[sample.digest] = side
        self._near[side].add(sketch(sample.compared))

    @property
    def gone(self) -> int:
        """How many that were on a side before were not asked for again."""
        return len(self._kept) - self.counts["kept"]

    def side_of(self, sample: Sample) -> str | None:
        """Its side; None where records that are near to it are on more than one."""
        if (kept := self._kept.get(sample.digest)) is not None:
            self.counts["kept"] += 1
            return kept
        own = sketch(sample.compared)
        near = [side for side in SIDES if self._near[side].find(own)]
        if len(near) > 1:
            return None
        by_hash = self._by_hash(sample.digest)
        side = near[0] if near else by_hash
        self.counts["moved"] += side != by_hash
        self._near[side].add(own)
        return side

    def _by_hash(self, digest: bytes) -> str:
        at = share(digest)
        return TEST if at < self._test_share else VAL if at < self._test_share + self._val_share else TRAIN
