"""The states of a rollout and how one follows from another. Nothing here reads a clock or a file.

staged -> canary (each share of steps_percent) -> stable; from staged and canary also -> rolled_back
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field

from nbmf.errors import NbmfError
from serve_app.observe.measurements import Measurements
from serve_app.rollout.gates import gates
from serve_app.rollout_policy import RolloutPolicy, State


class RolloutError(NbmfError):
    """The rollout is in no state for this."""

    code = "rollout_error"


class RolloutChanged(RolloutError):
    """The rollout is no longer where the caller saw it."""

    code = "rollout_changed"


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a caller saw a rollout: its id and round."""

    rollout: str
    round: int


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

    @property
    def seen(self) -> Seen:
        """This state of this rollout, for who wants to change no other."""
        return Seen(self.id, self.round)

    def check_seen(self, seen: Seen) -> None:
        """Raises RolloutChanged unless the rollout is where it was seen."""
        if seen != self.seen:
            raise RolloutChanged(
                f"the rollout of {self.candidate[:12]} is in round {self.round} ({self.state} {self.percent:g} %) and "
                "not in the one that this was meant for: look at it, and say that round"
            )

    @property
    def next_step(self) -> tuple[State, float]:
        """State and share in percent that an active rollout goes to if nothing is wrong."""
        share = next((share for share in self.policy.steps_percent if share > self.percent), None)
        return ("stable", 100) if share is None else ("canary", share)

    def advanced(self, now: float, reason: str, *, force: bool = False) -> Rollout:
        """In the next state. Raises RolloutError; also for `stable` while replicas have not loaded the candidate,
        unless forced to, which the reason then tells."""
        state, percent = self.next_step
        if self.is_active and state == "stable" and not self.ready and not force:
            raise RolloutError(
                f"{self.candidate[:12]} cannot become stable: not all replicas have loaded it. Wait, or roll back; if "
                "no service is to follow this rollout, force it"
            )
        return self._next(state, percent, now, f"{reason}, forced" if force else reason)

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
