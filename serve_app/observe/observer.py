"""What an ingress replica tells of its work: Prometheus at once, the controller every second."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cluster.fit import Sizes
from nbmf.effort import EffortSetting
from nbmf.vectors.changed import Coded
from serve_app.observe.measurements import Counts
from serve_app.observe.metrics import Purpose, service_metrics
from serve_app.observe.recent import RecentReporter


class Observer:
    """Where an ingress counts what versions encode. Without a reporter, for Prometheus only.

    `usual`: the effort of requests that name none.
    """

    def __init__(self, reporter: RecentReporter | None = None, usual: EffortSetting | None = None) -> None:
        self._reporter = reporter
        self._usual = usual or EffortSetting()
        self._metrics = service_metrics()

    def compares(self, effort: EffortSetting) -> bool:
        """Whether sizes of such a request say how a version fits: not those for which less time is allowed."""
        return self._reporter is not None and effort.name != "fast" and _budget_ms(effort) >= _budget_ms(self._usual)

    def encoded(
        self,
        version: str,
        counts: Counts,
        coded: Sequence[Coded],
        record_s: float,
        purpose: Purpose = "served",
    ) -> None:
        """Counts one call, which made these blobs and took this long a record."""
        self._metrics.encoded(version, counts, len(coded), record_s, purpose)
        self._metrics.changed(version, [one.changed for one in coded if one.changed], purpose)
        if self._reporter is not None:
            self._reporter.count(version, counts, copy=purpose == "copy")

    def relieved(self, records: int) -> None:
        """Counts records that are encoded without the network, as others have waited for long."""
        self._metrics.relieved(records)

    def fitted(self, version: str, sizes: Mapping[str, Sizes]) -> None:
        """Counts what `live_sizes` found of one call."""
        if self._reporter is not None:
            self._reporter.count(version, Counts(), sizes)

    def verified(self, version: str, blobs: int, mismatches: int) -> None:
        """Counts blobs that were decoded and compared."""
        self._metrics.verified(version, blobs, mismatches)


def _budget_ms(effort: EffortSetting) -> float:
    return math.inf if effort.budget_ms is None else effort.budget_ms
