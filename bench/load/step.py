"""What a step at one rate gave: pure arithmetic over its requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.load.arrivals import OPERATIONS, Operation

OK, UNANSWERED = 200, 0
REJECTED = (429, 503)
"""Statuses by which a service keeps work away that it could not do in time."""

MIN_ACHIEVED, MAX_ERROR_RATE = 0.95, 0.01
"""A rate is sustained if no less of it was achieved, and no more of its requests failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request. Times are in seconds after the step's beginning; status 0: no answer at all."""

    operation: Operation
    due_s: float
    sent_s: float
    done_s: float
    status: int
    unequal: bool = False

    @property
    def latency_s(self) -> float:
        """From when it was due, not sent: a client that waits would hide that the service did."""
        return self.done_s - self.due_s


def summary(target_rps: float, duration_s: float, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Rates, counts by status, and latencies in ms of what was answered with 200.

    The achieved rate is over the time until the last such answer, so what piled up counts against it.
    """
    answered = [outcome for outcome in outcomes if outcome.status == OK]
    took_s = max([duration_s, *(outcome.done_s for outcome in answered)])
    sent = len(outcomes)
    rejected = sum(outcome.status in REJECTED for outcome in outcomes)
    return {
        "target_rps": round(target_rps, 3),
        "duration_s": duration_s,
        "requests": sent,
        "offered_rps": round(sent / duration_s, 3),
        "achieved_rps": round(len(answered) / took_s, 3),
        "statuses": {str(status): n for status, n in sorted(Counter(o.status for o in outcomes).items())},
        "rejected_share": round(rejected / sent, 5) if sent else 0.0,
        "error_share": round(1 - len(answered) / sent, 5) if sent else 0.0,
        "unequal": sum(outcome.unequal for outcome in outcomes),
        "send_lag_ms": percentiles_ms([outcome.sent_s - outcome.due_s for outcome in outcomes]),
        **{name: percentiles_ms([o.latency_s for o in answered if o.operation == name]) for name in OPERATIONS},
    }


def percentiles_ms(seconds: Sequence[float]) -> dict[str, Any]:
    """count, p50, p95, p99 and max; of nothing, the count alone."""
    if not seconds:
        return {"count": 0}
    p50, p95, p99 = np.percentile(np.asarray(seconds) * 1e3, [50, 95, 99])
    found = {"p50": p50, "p95": p95, "p99": p99, "max": max(seconds) * 1e3}
    return {"count": len(seconds), **{name: round(float(value), 2) for name, value in found.items()}}


def sustained(step: dict[str, Any]) -> bool:
    """Whether the service kept up."""
    return bool(step["achieved_rps"] >= MIN_ACHIEVED * step["offered_rps"] and step["error_share"] <= MAX_ERROR_RATE)
