"""A migration's plan: fixed shards of a source and what is done with them, so that a rerun does the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.errors import DestinationError
from cluster.sources import Source
from migrate_job.destinations import Destination, ParquetParts
from migrate_job.layout import DEAD, DONE, LOCK, NAMES
from migrate_job.plan.listing import Shards
from migrate_job.plan.verification import ALL
from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, Effort
from nbmf.engine import Engine
from nbmf.payload import Fidelity
from nbmf.store.folder import Folder
from nbmf.store.layout import PLAN

_FORMAT = 2
"""Plans without a format are from before listings had modification times: theirs are compared without."""

_EFFORT_OF_OLD_PLANS = ("auto", 100.0)
"""What a plan that names neither effort nor budget in ms was made with: its fingerprint has to stay what it was."""


RECORD_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What every worker needs: read `source`, write to `target` with a version of `registry`.

    `destination` is the run's folder: the plan, done markers, dead letters, the report, and what the target puts there.

    `latency_budget_ms` is of effort auto. `engine` changes no byte, so a run may go on with another. Only records of
    `classes` are migrated, of all if there are none, and only the first `limit` of them; `cut` is where that is.
    `fidelity` is of classes that `fidelities` does not name. The share `verify` of the records is decoded and compared.
    A worker that is at one record for `record_timeout_s` hangs (more for large records and whole batches).
    """

    source: Source
    shards: Shards
    destination: Folder
    registry: str
    version: str
    fidelity: Fidelity
    effort: Effort = "auto"
    latency_budget_ms: float = DEFAULT_LATENCY_BUDGET_MS
    engine: Engine = field(default_factory=Engine)
    classes: tuple[str, ...] = ()
    limit: int | None = None
    cut: tuple[int, int] | None = None
    fidelities: Mapping[str, Fidelity] = field(default_factory=dict)
    verify: float = ALL
    record_timeout_s: float = RECORD_TIMEOUT_S
    target: Destination = field(default_factory=ParquetParts)

    def fingerprint(self, plan_format: int = _FORMAT) -> str:
        """Changes when the source's listing or files, the version, a fidelity, the effort, a filter or `verify` do."""
        what: list[Any] = [type(self.source).__name__, repr(self.source), self.version, self.fidelity]
        if self.effort_and_budget() != _EFFORT_OF_OLD_PLANS:
            what += map(repr, self.effort_and_budget())
        if self.classes or self.limit is not None:
            what.append({"classes": sorted(set(self.classes)), "limit": self.limit})
        if self.fidelities:
            what.append({"fidelities": dict(self.fidelities)})
        if self.verify != ALL:
            what.append({"verify": self.verify})
        # As json.dumps([what, shards]) writes it, one shard at a time.
        digest = hashlib.sha256(f"[{json.dumps(what, sort_keys=True)}, [".encode())
        for index in range(len(self.shards)):
            shard = self.shards[index]
            fields: dict[str, Any] = {"path": shard.path, "span": shard.span}
            if plan_format >= _FORMAT:
                fields["files"] = shard.files
            digest.update(f"{', ' if index else ''}{json.dumps(fields, sort_keys=True)}".encode())
        digest.update(b"]]")
        return digest.hexdigest()

    def fidelity_of(self, record_class: str) -> Fidelity:
        """What records of this class are kept with."""
        return self.fidelities.get(record_class, self.fidelity)

    def effort_and_budget(self) -> tuple[Effort, float | None]:
        """The effort, and the budget in ms where the effort has one."""
        return self.effort, float(self.latency_budget_ms) if self.effort == "auto" else None

    def refuse_foreign(self) -> None:
        """Raises DestinationError if the destination holds something that is no migration."""
        entries = list(self.destination.entries())
        ours = (LOCK, NAMES, f"{PLAN}.new", f"{PLAN}.tmp.")
        if PLAN not in entries and any(not name.startswith(ours) for name in entries):
            raise DestinationError(f"{self.destination} is not empty; a migration wants a folder of its own")

    def claim(self) -> None:
        """Makes the destination this plan's. Raises DestinationError if it holds anything else."""
        self.refuse_foreign()
        effort, budget_ms = self.effort_and_budget()
        fields = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint(),
            "version": self.version,
            "effort": effort,
            "latency_budget_ms": budget_ms,
            "classes": sorted(set(self.classes)),
            "limit": self.limit,
            "fidelity": self.fidelity,
            "fidelities": dict(self.fidelities),
            "verify": self.verify,
            "shards": len(self.shards),
        }
        # The plan comes first and whole: a run killed at any point after it can go on.
        if not self.destination.create(PLAN, json.dumps(fields, indent=1).encode()):
            held = json.loads(self.destination.read(PLAN) or b"{}")
            if held.get("fingerprint") != self.fingerprint(held.get("format", 1)):
                raise DestinationError(
                    f"{self.destination} holds a migration of another source or listing, version, fidelity or effort, "
                    "--class or --limit, --fidelity-policy or --verify, or of files that were modified since; choose "
                    "another folder, or repeat that command to finish it"
                )
        for below in (DEAD, DONE):
            self.destination.make(below)
