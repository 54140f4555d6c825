"""What is counted of two versions. Everything adds up, so that processes count apart and one judges."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

_STEP = 1.1
"""A bucket's upper bound over the one before: quantiles are exact to 10 %."""


class Histogram(BaseModel):
    """Durations in ms; bucket i counts those of at most 1.1**i."""

    buckets: dict[int, int] = Field(default_factory=dict)

    def count(self, value_ms: float, times: int = 1) -> None:
        """Counts a duration."""
        bucket = math.ceil(math.log(max(value_ms, 1e-3), _STEP))
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def add(self, other: Histogram) -> None:
        """Adds another's counts."""
        for bucket, times in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    @property
    def times(self) -> int:
        """How many durations were counted."""
        return sum(self.buckets.values())

    def quantile_ms(self, share: float) -> float | None:
        """The upper bound of the bucket that holds this quantile; None when nothing was counted."""
        left = share * self.times
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return _STEP**bucket
        return None


class Counts(BaseModel):
    """One version's records. `faults` are those of the service, not of a record that nothing could encode."""

    records: int = 0
    payload_bytes: int = 0
    blob_bytes: int = 0
    faults: int = 0
    verified: int = 0
    mismatches: int = 0
    encode_ms: Histogram = Field(default_factory=Histogram)

    def add(self, other: Counts) -> None:
        """Adds another's counts."""
        for name in ("records", "payload_bytes", "blob_bytes", "faults", "verified", "mismatches"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.encode_ms.add(other.encode_ms)


class Compared(BaseModel):
    """Records that both versions encoded, so that the ratios are of the same records."""

    records: int = 0
    payload_bytes: int = 0
    stable_bytes: int = 0
    candidate_bytes: int = 0

    def add(self, other: Compared) -> None:
        """Adds another's counts."""
        for name in type(self).model_fields:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Measurements(BaseModel):
    """What was counted in one state of a rollout. `load_failure` says why a replica could not load the candidate."""

    stable: Counts = Field(default_factory=Counts)
    candidate: Counts = Field(default_factory=Counts)
    compared: Compared = Field(default_factory=Compared)
    load_failure: str | None = None

    def add(self, other: Measurements) -> None:
        """Adds another's counts."""
        self.stable.add(other.stable)
        self.candidate.add(other.candidate)
        self.compared.add(other.compared)
        self.load_failure = self.load_failure or other.load_failure
