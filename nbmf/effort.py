"""How much time coding may take for how small a blob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

Effort = Literal["auto", "fast", "max"]
"""max: the smallest blob, however long it takes to encode and decode. auto: that within the latency budget. fast: no
network; of records that are too large for the counts as a whole, as much by them as the latency budget allows."""

DEFAULT_LATENCY_BUDGET_MS = 100.0
"""How long decoding a record may take with effort "auto", as far as can be told when it is encoded."""


class EffortKeywords(TypedDict):
    """An effort as `nbmf.encode` and `Codec.encode` take it."""

    effort: Effort
    latency_budget_ms: float


@dataclass(frozen=True, slots=True)
class EffortSetting:
    """An effort and its latency budget, infinite for none. Raises ValueError for one that there is not."""

    name: Effort = "auto"
    latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS

    def __post_init__(self) -> None:
        if self.name not in get_args(Effort):
            raise ValueError(f"effort is one of {', '.join(get_args(Effort))}, not {self.name!r}")
        if not self.latency_budget_ms >= 0:
            raise ValueError(f"latency_budget_ms is a number of milliseconds, not {self.latency_budget_ms!r}")

    @property
    def budget_ms(self) -> float | None:
        """For decoding a record, in milliseconds; None for an effort that has no budget."""
        return float(self.latency_budget_ms) if self.name == "auto" else None

    @property
    def keywords(self) -> EffortKeywords:
        """For `Codec.encode` and its like."""
        return {"effort": self.name, "latency_budget_ms": self.latency_budget_ms}
