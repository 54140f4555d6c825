"""Measurements of the last minutes, a version at a time: what the console's charts show.

Ingress replicas count and report every second or so; the controller's replica adds them up in a ring of buckets.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field
from ray.serve.handle import DeploymentHandle

from cluster.fit import Sizes
from serve_app.observe.live_fit import LiveFit
from serve_app.observe.measurements import Counts

WINDOW_S = 900
BUCKET_S = 5
REPORT_S = 1.0

_log = logging.getLogger("ray.serve")


class RecentCounts(BaseModel):
    """Records that were given to a version to encode, `copies` of them only to be measured.

    Bytes and durations are of both: so a candidate that has no share yet has a ratio. `sizes` are by kind of record, of
    those that say how the version fits.
    """

    encoded: Counts = Field(default_factory=Counts)
    copies: int = 0
    sizes: dict[str, Sizes] = Field(default_factory=dict)

    def add(self, other: RecentCounts) -> None:
        """Adds another's counts."""
        self.encoded.add(other.encoded)
        self.copies += other.copies
        for kind, more in other.sizes.items():
            self.sizes[kind] = self.sizes.get(kind, Sizes()) + more


class VersionSeries(BaseModel):
    """One version's measurements, an entry a bucket; null where nothing was encoded."""

    version: str
    records: list[int] = Field(description="of requests")
    copies: list[int] = Field(description="encoded beside, measured for a rollout and thrown away")
    faults: list[int]
    payload_bytes: list[int]
    blob_bytes: list[int]
    ratio: list[float | None]
    p50_ms: list[float | None] = Field(description="of a record's encoding, as the ingress sees it; exact to 10 %")
    p95_ms: list[float | None]


class Series(BaseModel):
    """Measurements of the last minutes; times are the starts of buckets, in seconds since the epoch."""

    bucket_s: float
    at: list[float]
    replicas: int = Field(description="ingress replicas that reported in this time")
    versions: list[VersionSeries]
    fits: list[LiveFit] = Field([], description="how the versions that encode now fit what they encode")


@dataclass(slots=True)
class _Bucket:
    number: int
    of: dict[str, RecentCounts] = field(default_factory=dict)
    replicas: set[str] = field(default_factory=set)


class RecentMeasurements:
    """A ring of buckets. Reports count in the bucket in which they arrive; calls come from one thread at a time."""

    def __init__(self, window_s: int = WINDOW_S, bucket_s: int = BUCKET_S) -> None:
        self._bucket_s = bucket_s
        self._length = window_s // bucket_s
        self._buckets: deque[_Bucket] = deque(maxlen=self._length)

    def add(self, replica: str, counts: Mapping[str, RecentCounts], now: float) -> None:
        """Adds what an ingress replica counted, by version, since it last reported."""
        number = int(now // self._bucket_s)
        # A clock that was put back: the newest bucket takes it.
        if not self._buckets or number > self._buckets[-1].number:
            self._buckets.append(_Bucket(number))
        bucket = self._buckets[-1]
        bucket.replicas.add(replica)
        for version, more in counts.items():
            bucket.of.setdefault(version, RecentCounts()).add(more)

    def series(self, now: float) -> Series:
        """All buckets of the window that are over, oldest first, empty ones too."""
        last = int(now // self._bucket_s)
        numbers = range(last - self._length + 1, last)
        kept = {bucket.number: bucket for bucket in self._buckets if bucket.number in numbers}
        empty = _Bucket(0)
        row = [kept.get(number, empty) for number in numbers]
        versions = sorted({version for bucket in row for version in bucket.of})
        return Series(
            bucket_s=self._bucket_s,
            at=[number * self._bucket_s for number in numbers],
            replicas=len({replica for bucket in row for replica in bucket.replicas}),
            versions=[_series(version, [bucket.of.get(version) for bucket in row]) for version in versions],
        )


def _series(version: str, row: list[RecentCounts | None]) -> VersionSeries:
    none = RecentCounts()
    counts = [(found or none).encoded for found in row]
    copies = [(found or none).copies for found in row]
    return VersionSeries(
        version=version,
        records=[c.records - copied for c, copied in zip(counts, copies, strict=True)],
        copies=copies,
        faults=[c.faults for c in counts],
        payload_bytes=[c.payload_bytes for c in counts],
        blob_bytes=[c.blob_bytes for c in counts],
        ratio=[round(c.payload_bytes / c.blob_bytes, 4) if c.blob_bytes else None for c in counts],
        p50_ms=[_rounded(c.encode_ms.quantile_ms(0.5)) for c in counts],
        p95_ms=[_rounded(c.encode_ms.quantile_ms(0.95)) for c in counts],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


Send = Callable[[str, dict[str, RecentCounts]], Awaitable[object]]


class RecentReporter:
    """Counts in an ingress replica, and sends the counts to the controller's."""

    def __init__(self, replica: str, send: Send) -> None:
        self._replica = replica
        self._send = send
        self._task: asyncio.Task[None] | None = None
        self._of: dict[str, RecentCounts] = {}

    @classmethod
    def of(cls, controller: DeploymentHandle[Any] | None) -> RecentReporter | None:
        """A reporter of this process that runs until that ends; none without a controller."""
        if controller is None:
            return None
        reporter = cls(uuid.uuid4().hex, controller.recent.remote)
        reporter._task = asyncio.get_running_loop().create_task(reporter.run())
        return reporter

    def count(
        self, version: str, counts: Counts, sizes: Mapping[str, Sizes] | None = None, *, copy: bool = False
    ) -> None:
        """Counts what a version encoded in one call."""
        more = RecentCounts(encoded=counts, copies=counts.records if copy else 0, sizes=dict(sizes or {}))
        self._of.setdefault(version, RecentCounts()).add(more)

    async def report(self) -> None:
        """Sends what was counted since the last time. What could not be sent is lost: it is for people to look at."""
        counts, self._of = self._of, {}
        await self._send(self._replica, counts)

    async def run(self) -> None:
        """Reports until cancelled."""
        while True:
            await asyncio.sleep(REPORT_S)
            try:
                await self.report()
            except Exception as error:
                _log.warning("recent measurements could not be reported: %s: %s", type(error).__name__, error)
