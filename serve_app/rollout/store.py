"""The rollout in the registry: rollout.json, replaced as a whole, and rollout_history.jsonl, which only grows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from cluster.errors import RegistryError
from cluster.quarantine import Quarantine
from cluster.registry import BUILTIN, NONE, STUB, Registry
from nbmf.engine import engine
from serve_app.isolation.trial import tried
from serve_app.observe.measurements import Measurements
from serve_app.rollout.state import Lease, Rollout, RolloutError, Seen, decide
from serve_app.rollout_policy import RolloutPolicy, State

M = TypeVar("M", bound=BaseModel)

DOCUMENT = "rollout.json"
HISTORY = "rollout_history.jsonl"


class Transition(BaseModel):
    """A line of the history: a change of state, and what was measured in the state before."""

    at: float
    rollout: str
    candidate: str
    stable: str
    before: State | None
    before_percent: float
    after: State
    after_percent: float
    reason: str
    measured: Measurements


class RolloutStore:
    """The rollout of one registry. Whoever changes it holds the registry's lock, if it can be locked."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def read(self) -> Rollout | None:
        """The latest rollout, None if there was none. Raises RegistryError."""
        content = self._registry.read_document(DOCUMENT)
        return None if content is None else self._parsed(Rollout, content, DOCUMENT)

    def history(self) -> list[Transition]:
        """All transitions, oldest first. Raises RegistryError."""
        content = self._registry.read_document(HISTORY) or b""
        return [
            self._parsed(Transition, line, f"{HISTORY}, line {i}") for i, line in enumerate(content.splitlines(), 1)
        ]

    def start(self, version: str, policy: RolloutPolicy, now: float, reason: str = "started") -> Rollout:
        """A rollout of this version, staged, once it was tried in a process that is thrown away.

        Raises RolloutError, VersionNotFound, DamagedCodec, QuarantinedCodec.
        """
        candidate = self._registry.resolve(version)
        if candidate in (BUILTIN, NONE, STUB):
            raise RolloutError(f"{candidate} is not a version of the registry; see `nbmf versions list`")
        tried(self._registry, candidate, engine())
        with self._registry.locked():
            before, stable = self.read(), self._registry.resolve()
            if before is not None and before.is_active:
                raise RolloutError(f"{before.candidate[:12]} is being rolled out; `nbmf rollout rollback` ends that")
            if candidate == stable:
                raise RolloutError(f"{candidate[:12]} is stable already")
            started = Rollout(
                id=uuid.uuid4().hex, candidate=candidate, stable=stable, policy=policy, since=now, reason=reason
            )
            self._write(None, started)
        return started

    def change(self, next_of: Callable[[Rollout], Rollout], seen: Seen | None = None) -> Rollout:
        """The rollout after this change, made only where it is as it was `seen`.

        Raises RolloutChanged, RolloutError, also if there is none.
        """
        with self._registry.locked():
            before = self.read()
            if before is None:
                raise RolloutError("there is no rollout; begin one with `nbmf rollout start VERSION`")
            if seen is not None:
                before.check_seen(seen)
            after = next_of(before)
            self._write(before, after)
        return after

    def roll_back(self, now: float, reason: str, seen: Seen | None = None) -> Rollout:
        """By hand: this takes the candidate out of quarantine as well. Raises RolloutChanged, RolloutError."""
        with self._registry.locked():
            rollout = self.change(lambda r: r.rolled_back(now, reason), seen)
            Quarantine(self._registry).release(rollout.candidate, f"its rollout was taken back: {reason}", now)
        return rollout

    def judge(
        self, holder: str, now: float, lease_s: float, measured: dict[tuple[str, int], Measurements], ready: bool
    ) -> Rollout | None:
        """Adds what was measured in the present round, and decides if the lease is this holder's, or free.

        What was measured in other rounds is dropped, but not wrong blobs. Returns the rollout if it is active.
        """
        with self._registry.locked():
            before = self.read()
            if before is None or not before.is_active:
                return None
            rollout = before.model_copy(deep=True)
            for (of, round_), counts in measured.items():
                if (of, round_) == (rollout.id, rollout.round):
                    rollout.measured.add(counts)
                elif of == rollout.id:
                    rollout.measured.candidate.mismatches += counts.candidate.mismatches
            lease = rollout.lease
            if lease is None or lease.holder == holder or lease.until <= now:
                rollout.lease = Lease(holder=holder, until=now + lease_s)
                # Once ready it stays so: replicas that start later load the candidate before they take requests.
                rollout.ready = rollout.ready or ready
                after = decide(rollout, now)
                if after is not None:
                    self._write(rollout, after)
                    return after
            self._write(rollout, rollout)
            return rollout

    def _parsed(self, model: type[M], content: bytes, place: str) -> M:
        try:
            return model.model_validate_json(content)
        except ValueError as error:
            raise RegistryError(f"registry {self._registry}: {place} is not readable: {error}") from error

    def _write(self, before: Rollout | None, after: Rollout) -> None:
        """History and channels first: stopped in between, the same transition is made once more."""
        if before is None or before.round != after.round:
            line = Transition(
                at=after.since,
                rollout=after.id,
                candidate=after.candidate,
                stable=after.stable,
                before=before and before.state,
                before_percent=before.percent if before else 0,
                after=after.state,
                after_percent=after.percent,
                reason=after.reason,
                measured=before.measured if before else Measurements(),
            )
            self._registry.append_to_document(HISTORY, line.model_dump_json().encode() + b"\n")
            if after.state == "stable":
                self._registry.assign("stable", after.candidate)
            # On a channel once, a version cannot be deleted: its blobs need it.
            self._registry.assign("candidate", after.candidate if after.is_active else None)
        self._registry.write_document(DOCUMENT, after.model_dump_json(indent=1).encode())
