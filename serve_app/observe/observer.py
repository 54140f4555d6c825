"""What an ingress replica tells of its work: Prometheus at once, the controller every second."""

from __future__ import annotations

from collections.abc import Sequence

from nbmf.vectors.changed import Coded
from serve_app.observe.measurements import Counts
from serve_app.observe.metrics import Purpose, service_metrics
from serve_app.observe.recent import RecentReporter


class Observer:
    """Where an ingress counts what versions encode. Without a reporter, for Prometheus only."""

    def __init__(self, reporter: RecentReporter | None = None) -> None:
        self._reporter = reporter
        self._metrics = service_metrics()

    def encoded(
        self, version: str, counts: Counts, coded: Sequence[Coded], record_s: float, purpose: Purpose = "served"
    ) -> None:
        """Counts one call, which made these blobs and took this long a record."""
        self._metrics.encoded(version, counts, len(coded), record_s, purpose)
        self._metrics.changed(version, [one.changed for one in coded if one.changed], purpose)
        if self._reporter is not None:
            self._reporter.count(version, counts, copy=purpose == "copy")

    def verified(self, version: str, blobs: int, mismatches: int) -> None:
        """Counts blobs that were decoded and compared."""
        self._metrics.verified(version, blobs, mismatches)
