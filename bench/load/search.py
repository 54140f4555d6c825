"""From rising rates to the highest sustained one, then half of it and twice as much."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bench.load.step import sustained
from nbmf.errors import NbmfError

Phase: TypeAlias = Literal["rising", "between", "half", "beyond"]
RunStep: TypeAlias = Callable[[Phase, float], dict[str, Any]]


class NotSustained(NbmfError):
    """The service does not keep up with the first rate."""

    code = "not_sustained"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Rates to try."""

    start_rps: float
    factor: float
    max_rps: float
    refinements: int
    """Rates tried between the last sustained and the first that was not; each halves their distance."""


def search(plan: SearchPlan, run: RunStep) -> dict[str, Any]:
    """The report's part on rates: {"steps", "saturation_rps", "saturated", "half", "beyond"}.

    `saturation_rps` is the highest sustained rate; unless `saturated`, `max_rps` kept it from being higher.
    Raises NotSustained.
    """
    steps: list[dict[str, Any]] = []

    def tried(phase: Phase, rate: float) -> dict[str, Any]:
        step: dict[str, Any] = {"phase": phase, **run(phase, rate)}
        step["sustained"] = sustained(step)
        steps.append(step)
        return step

    good, bad, rate = 0.0, math.inf, plan.start_rps
    while bad == math.inf and rate <= plan.max_rps:
        if tried("rising", rate)["sustained"]:
            good, rate = rate, rate * plan.factor
        else:
            bad = rate
    if good == 0.0:
        raise NotSustained(
            f"the service did not keep up with {plan.start_rps:g} requests a second: {_why(steps[-1])}; "
            "begin lower with --start-rps"
        )
    if bad < math.inf:
        for _ in range(plan.refinements):
            middle = math.sqrt(good * bad)
            if tried("between", middle)["sustained"]:
                good = middle
            else:
                bad = middle
    half = tried("half", good / 2)
    beyond = tried("beyond", good * 2)
    return {
        "steps": steps,
        "saturation_rps": round(good, 3),
        "saturated": bad < math.inf,
        "half": half,
        "beyond": beyond,
    }


def _why(step: dict[str, Any]) -> str:
    return f"{step['achieved_rps']:g} of {step['offered_rps']:g} a second, statuses {step['statuses']}"
