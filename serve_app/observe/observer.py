"""What an ingress replica tells of its work: Prometheus at once, the controller every second."""

from __future__ import annotations

from serve_app.observe.measurements import Counts
from serve_app.observe.metrics import Purpose, service_metrics
from serve_app.observe.recent import RecentReporter


class Observer:
    """Where an ingress counts what versions encode. Without a reporter, for Prometheus only."""

    def __init__(self, reporter: RecentReporter | None = None) -> None:
        self._reporter = reporter
        self._metrics = service_metrics()

    def encoded(self, version: str, counts: Counts, blobs: int, record_s: float, purpose: Purpose = "served") -> None:
        """Counts one call, which made this many blobs and took this long a record."""
        self._metrics.encoded(version, counts, blobs, record_s, purpose)
        if self._reporter is not None:
            self._reporter.count(version, counts, copy=purpose == "copy")

    def verified(self, version: str, blobs: int, mismatches: int) -> None:
        """Counts blobs that were decoded and compared."""
        self._metrics.verified(version, blobs, mismatches)
