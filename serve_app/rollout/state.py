"""The states of a rollout and how one follows from another. Nothing here reads a clock or a file.

staged -> canary (each share of steps_percent) -> stable; from staged and canary also -> rolled_back
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from nbmf.errors import NbmfError
from serve_app.rollout.gates import gates
from serve_app.rollout.measurements import Measurements
from serve_app.rollout.policy import RolloutPolicy

State: TypeAlias = Literal["staged", "canary", "stable", "rolled_back"]


class RolloutError(NbmfError):
    """The rollout is in no state for this."""

    code = "rollout_error"


class Lease(BaseModel):
    """Who judges the rollout, until when (seconds since the epoch)."""

    holder: str
    until: float


class Rollout(BaseModel):
    """A rollout as it stands. Times are seconds since the epoch.

    `round` counts transitions: what was measured in another round says nothing of this one. `ready`: the service's
    replicas have loaded the candidate, so that it may get its share.
    """

    id: str
    candidate: str
    stable: str
    policy: RolloutPolicy
    state: State = "staged"
    percent: float = 0
    round: int = 0
    since: float
    reason: str
    paused: bool = False
    ready: bool = False
    lease: Lease | None = None
    measured: Measurements = Field(default_factory=Measurements)

    @property
    def is_active(self) -> bool:
        """Whether it is still to be decided."""
        return self.state in ("staged", "canary")

    def _next(self, state: State, percent: float, now: float, reason: str) -> Rollout:
        if not self.is_active:
            raise RolloutError(
                f"the rollout of {self.candidate[:12]} is over ({self.state}); begin one with `nbmf rollout start`"
            )
        return self.model_copy(
            update={
                "state": state,
                "percent": percent,
                "round": self.round + 1,
                "since": now,
                "reason": reason,
                "paused": False,
                "measured": Measurements(),
            }
        )

    def advanced(self, now: float, reason: str) -> Rollout:
        """In the next state. Raises RolloutError."""
        share = next((share for share in self.policy.steps_percent if share > self.percent), None)
        if share is None:
            return self._next("stable", 100, now, reason)
        return self._next("canary", share, now, reason)

    def rolled_back(self, now: float, reason: str) -> Rollout:
        """With no share for the candidate any more. Raises RolloutError."""
        return self._next("rolled_back", 0, now, reason)

    def with_pause(self, paused: bool) -> Rollout:
        """Kept in its state until resumed, or no longer. Raises RolloutError."""
        if not self.is_active:
            raise RolloutError(f"the rollout of {self.candidate[:12]} is over ({self.state})")
        if self.paused == paused:
            raise RolloutError(f"the rollout of {self.candidate[:12]} is {'already' if paused else 'not'} paused")
        return self.model_copy(update={"paused": paused})


def decide(rollout: Rollout, now: float) -> Rollout | None:
    """What becomes of an active rollout by what was measured: the next state, or None if it stays.

    A breach rolls back at once, whether paused or not.
    """
    judged = gates(rollout.policy, rollout.measured)
    breaches = [str(gate) for gate in judged if gate.passed is False]
    if breaches:
        return rollout.rolled_back(now, "; ".join(breaches))
    dwelt = now - rollout.since >= rollout.policy.dwell_s
    if rollout.paused or not rollout.ready or not dwelt or any(gate.passed is None for gate in judged):
        return None
    return rollout.advanced(now, "all gates passed")
