"""The whole measurement of one service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np

from bench.load import worker
from bench.load.search import Phase, SearchPlan, search
from bench.load.step import MAX_ERROR_RATE, MIN_ACHIEVED, sustained
from bench.load.worker import Step, Target
from bench.machine import facts
from bench.records import NothingToMeasure
from nbmf.payload import Payload, to_canonical

T = TypeVar("T")

_POLL_S = 0.2
_SEED = 20
QUANTILES = (0, 10, 25, 50, 75, 90, 95, 100)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is sent."""

    rates: SearchPlan
    step_s: float
    decode_share: float


def run(
    target: Target,
    payloads: Sequence[Payload],
    plan: LoadPlan,
    on_phase: Callable[[str, float], None],
    on_time: Callable[[float], None],
) -> dict[str, Any]:
    """The report. Raises NothingToMeasure, ServiceFailed, NotSustained, NotEqual.

    `on_phase` is told a description and the seconds that it will take, 0 if nobody knows; `on_time` how many of them
    are over.
    """
    if not payloads:
        raise NothingToMeasure("there are no records to send")
    steps: list[dict[str, Any]] = []

    with ProcessPoolExecutor(1, get_context("spawn"), worker.start, (target, list(payloads))) as pool:

        def one(phase: Phase, rate: float) -> dict[str, Any]:
            if steps and not sustained(steps[-1]):
                # Replicas that are started now, because of that step, would slow this one.
                on_phase("the service rests", plan.step_s)
                _watched(pool.submit(time.sleep, plan.step_s), on_time)
            on_phase(f"{phase}: {rate:.1f} requests/s", plan.step_s)
            step = Step(rate, plan.step_s, plan.decode_share, _SEED + len(steps))
            steps.append(_watched(pool.submit(worker.run_step, step), on_time))
            return steps[-1]

        on_phase(f"{len(payloads)} records there and back", 0)
        _watched(pool.submit(worker.prepare), on_time)
        found = search(plan.rates, one)
        on_phase("decoding what was encoded otherwise than at first", 0)
        wrong = _watched(pool.submit(worker.finish), on_time)
    return {
        "machine": facts(),
        "records": _sizes(payloads),
        "step_s": plan.step_s,
        "decode_share": plan.decode_share,
        "min_achieved": MIN_ACHIEVED,
        "max_error_rate": MAX_ERROR_RATE,
        "unequal": wrong + sum(step["unequal"] for step in found["steps"]),
        **found,
    }


def _watched(future: Future[T], on_time: Callable[[float], None]) -> T:
    """The result; meanwhile somebody is told how long it takes."""
    waited = 0.0
    while True:
        try:
            return future.result(timeout=_POLL_S)
        except TimeoutError:
            if future.done():
                raise
            waited += _POLL_S
            on_time(waited)


def _sizes(payloads: Sequence[Payload]) -> dict[str, Any]:
    sizes = [len(to_canonical(payload)[1]) for payload in payloads]
    quantiles = np.percentile(sizes, QUANTILES)
    return {
        "count": len(sizes),
        "payload_bytes": sum(sizes),
        "bytes_by_percentile": {str(q): int(value) for q, value in zip(QUANTILES, quantiles, strict=True)},
    }
