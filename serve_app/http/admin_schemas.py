"""Bodies of the admin API."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from cluster.config import StrictModel
from cluster.quarantine import QuarantineLine
from serve_app.observe.measurements import Counts, Measurements
from serve_app.rollout.gates import Gate, gates
from serve_app.rollout.state import Rollout, Seen
from serve_app.rollout.store import Transition
from serve_app.rollout_policy import RolloutPolicy, State

Verdict: TypeAlias = Literal["passed", "breached", "too_little_measured"]
_VERDICTS: dict[bool | None, Verdict] = {True: "passed", False: "breached", None: "too_little_measured"}


class StartRollout(StrictModel):
    """What to roll out, and how."""

    version: str = Field(min_length=1, description="the candidate: the start of an id")
    policy: RolloutPolicy | None = Field(
        None, description="what differs from `rollout` of the server's configuration; the rest is as there"
    )


class SeenRollout(StrictModel):
    """Where the caller saw the rollout: nothing is changed where it has gone on meanwhile."""

    rollout: str = Field(min_length=1, description="its id")
    round: int = Field(ge=0)

    @property
    def seen(self) -> Seen:
        """The same, for the store."""
        return Seen(self.rollout, self.round)


class ReleaseVersion(StrictModel):
    """What to take out of quarantine."""

    version: str = Field(min_length=1, description="the start of an id")


class AdvanceRollout(SeenRollout):
    """Which state to go on from."""

    force: bool = Field(False, description="become stable although not all replicas have loaded the candidate")


class Share(BaseModel):
    """The share of keys that a version encodes."""

    version: str
    percent: float


class GateView(BaseModel):
    """A gate of the present state."""

    name: str
    measured: str
    limit: str
    verdict: Verdict

    @classmethod
    def of(cls, gate: Gate) -> GateView:
        """The gate, to be shown."""
        return cls(name=gate.name, measured=gate.measured, limit=gate.limit, verdict=_VERDICTS[gate.passed])


class VersionMeasured(BaseModel):
    """What was measured of one version in one state."""

    records: int
    faults: int
    verified: int
    mismatches: int
    ratio: float | None
    p50_ms: float | None
    p95_ms: float | None

    @classmethod
    def of(cls, counts: Counts) -> VersionMeasured:
        """A summary of these counts."""
        return cls(
            records=counts.records,
            faults=counts.faults,
            verified=counts.verified,
            mismatches=counts.mismatches,
            ratio=_over(counts.payload_bytes, counts.blob_bytes),
            p50_ms=counts.encode_ms.quantile_ms(0.5),
            p95_ms=counts.encode_ms.quantile_ms(0.95),
        )


class Measured(BaseModel):
    """What was measured in one state of a rollout."""

    stable: VersionMeasured
    candidate: VersionMeasured
    compared_records: int = Field(description="that both versions encoded")
    ratio_of_stable: float | None = Field(description="the candidate's ratio over stable's, on those records")

    @classmethod
    def of(cls, measured: Measurements) -> Measured:
        """A summary of these measurements."""
        return cls(
            stable=VersionMeasured.of(measured.stable),
            candidate=VersionMeasured.of(measured.candidate),
            compared_records=measured.compared.records,
            ratio_of_stable=_over(measured.compared.stable_bytes, measured.compared.candidate_bytes),
        )


class Position(BaseModel):
    """A state, and the candidate's share in it."""

    state: State
    percent: float


class RolloutView(BaseModel):
    """The latest rollout. Times are seconds since the epoch."""

    id: str
    candidate: str
    stable: str
    state: State
    percent: float
    round: int = Field(description="counts transitions")
    since: float
    reason: str
    active: bool
    paused: bool
    ready: bool = Field(description="all replicas have loaded the candidate")
    next: Position | None = Field(description="where `advance` leads")
    policy: RolloutPolicy
    gates: list[GateView] = Field(description="of an active rollout")
    measured: Measured

    @classmethod
    def of(cls, rollout: Rollout) -> RolloutView:
        """The rollout, to be shown."""
        state, percent = rollout.next_step
        return cls(
            **{name: getattr(rollout, name) for name in ("id", "candidate", "stable", "state", "percent", "round")},
            **{name: getattr(rollout, name) for name in ("since", "reason", "paused", "ready", "policy")},
            active=rollout.is_active,
            next=Position(state=state, percent=percent) if rollout.is_active else None,
            gates=[GateView.of(g) for g in gates(rollout.policy, rollout.measured)] if rollout.is_active else [],
            measured=Measured.of(rollout.measured),
        )


class RolloutStatus(BaseModel):
    """What encodes now, and the latest rollout of the registry."""

    follows: bool = Field(description="whether this server follows rollouts: not if it serves one fixed version")
    shares: list[Share]
    rollout: RolloutView | None
    policy: RolloutPolicy = Field(description="of rollouts that are started here and say nothing else")
    quarantined: list[QuarantineLine] = Field(description="versions that killed or hung what used them; not used now")


class TransitionView(BaseModel):
    """A change of state, and what was measured in the state before."""

    at: float
    rollout: str
    candidate: str
    stable: str
    before: Position | None
    after: Position
    reason: str
    measured: Measured

    @classmethod
    def of(cls, line: Transition) -> TransitionView:
        """A line of the history, to be shown."""
        return cls(
            at=line.at,
            rollout=line.rollout,
            candidate=line.candidate,
            stable=line.stable,
            before=line.before and Position(state=line.before, percent=line.before_percent),
            after=Position(state=line.after, percent=line.after_percent),
            reason=line.reason,
            measured=Measured.of(line.measured),
        )


class History(BaseModel):
    """Transitions of all rollouts, newest first."""

    transitions: list[TransitionView]
    quarantine: list[QuarantineLine] = Field(description="what came into quarantine, and out of it, newest first")


def _over(numerator: int, denominator: int) -> float | None:
    return round(numerator / denominator, 4) if denominator else None
