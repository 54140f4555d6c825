"""Samples that fit a bound, the same whatever order they come in.

Bound is what is learnt of them (samples.binary): images beside text keep no text out. With all that is in them they may
be WHOLE_TIMES as many bytes, as they are held in memory.
"""

from __future__ import annotations

from train_app.samples.sample import DIGEST_BYTES, Sample

WHOLE_TIMES = 4


class BoundedSample:
    """The samples with the smallest digests that fit a number of bytes: the same whatever order they come in."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._samples: list[Sample] = []
        self._bytes = self._whole_bytes = 0
        self._threshold = b"\xff" * DIGEST_BYTES

    def add(self, sample: Sample) -> None:
        if sample.digest > self._threshold:
            return
        self._samples.append(sample)
        self._bytes += sample.learnt_bytes
        self._whole_bytes += len(sample.canonical)
        if self._exceeds(self._bytes, self._whole_bytes, 2):
            self._shrink()

    def _shrink(self) -> None:
        self._samples.sort(key=lambda s: s.digest)
        total = whole = 0
        for count, sample in enumerate(self._samples):
            total += sample.learnt_bytes
            whole += len(sample.canonical)
            if self._exceeds(total, whole) and count > 0:
                # Not the last one kept: what comes later between the two may still fit.
                self._threshold = sample.digest
                del self._samples[count:]
                break
        self._bytes = sum(s.learnt_bytes for s in self._samples)
        self._whole_bytes = sum(len(s.canonical) for s in self._samples)

    def _exceeds(self, learnt_bytes: int, whole_bytes: int, times: int = 1) -> bool:
        most = times * self._max_bytes
        return learnt_bytes > most or whole_bytes > WHOLE_TIMES * most

    def samples(self) -> list[Sample]:
        """The sample, ordered by digest."""
        self._shrink()
        return self._samples


class BalancedSample:
    """The same of each class of records and of all together."""

    def __init__(self, max_bytes: int, max_class_bytes: int) -> None:
        self._max_bytes, self._max_class_bytes = max_bytes, max_class_bytes or max_bytes
        self._of_class: dict[str, BoundedSample] = {}

    def add(self, sample: Sample) -> None:
        self._of_class.setdefault(sample.group, BoundedSample(self._max_class_bytes)).add(sample)

    def samples(self) -> list[Sample]:
        """The sample, ordered by digest."""
        whole = BoundedSample(self._max_bytes)
        for part in self._of_class.values():
            for sample in part.samples():
                whole.add(sample)
        return whole.samples()
