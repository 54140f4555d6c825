"""A migration's plan: fixed shards of a source and what is done with them, so that a rerun does the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cluster.errors import DestinationError
from cluster.sources import Source
from migrate_job.destinations import Destination, ParquetParts
from migrate_job.layout import DEAD, DONE, LOCK, NAMES
from migrate_job.plan.listing import Shards
from migrate_job.plan.options import Options
from migrate_job.plan.verification import ALL
from nbmf.effort import EffortSetting
from nbmf.store.folder import Folder
from nbmf.store.layout import PLAN
from nbmf.vectors.aim import DEFAULT_AIM

_FORMAT = 2
"""Plans without a format are from before listings had modification times: theirs are compared without."""

_EFFORT_OF_OLD_PLANS = EffortSetting("auto", 100.0)
"""What a plan that names neither effort nor budget was made with: its fingerprint has to stay what it was."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every worker needs: read `source`, write to `target` with a version of `registry`.

    `destination` is the run's folder: the plan, done markers, dead letters, the report, and what the target puts there.

    `cut` is where the limit of the options is reached, if they have one.
    """

    source: Source
    shards: Shards
    destination: Folder
    registry: str
    version: str
    options: Options = field(default_factory=Options)
    cut: tuple[int, int] | None = None
    target: Destination = field(default_factory=ParquetParts)

    def fingerprint(self, plan_format: int = _FORMAT) -> str:
        """Changes when the source's listing or files, the version, a fidelity, the effort, a filter or `verify` do."""
        options = self.options
        effort, fidelity = options.effort, options.fidelity
        what: list[Any] = [type(self.source).__name__, repr(self.source), self.version, fidelity.default]
        if effort != _EFFORT_OF_OLD_PLANS:
            what += map(repr, (effort.name, effort.budget_ms))
        if options.classes or options.limit is not None:
            what.append({"classes": sorted(set(options.classes)), "limit": options.limit})
        if fidelity.classes:
            what.append({"fidelities": dict(fidelity.classes)})
        if options.verify != ALL:
            what.append({"verify": options.verify})
        if options.aim != DEFAULT_AIM:
            what.append({"least_cosine": options.aim.least_cosine})
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

    def refuse_foreign(self) -> None:
        """Raises DestinationError if the destination holds something that is no migration."""
        entries = list(self.destination.entries())
        ours = (LOCK, NAMES, f"{PLAN}.new", f"{PLAN}.tmp.")
        if PLAN not in entries and any(not name.startswith(ours) for name in entries):
            raise DestinationError(f"{self.destination} is not empty; a migration wants a folder of its own")

    def claim(self) -> None:
        """Makes the destination this plan's. Raises DestinationError if it holds anything else."""
        self.refuse_foreign()
        options = self.options
        fields = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint(),
            "version": self.version,
            "effort": options.effort.name,
            "latency_budget_ms": options.effort.budget_ms,
            "classes": sorted(set(options.classes)),
            "limit": options.limit,
            "fidelity": options.fidelity.default,
            "fidelities": dict(options.fidelity.classes),
            "verify": options.verify,
            "least_cosine": options.aim.least_cosine,
            "shards": len(self.shards),
        }
        # The plan comes first and whole: a run killed at any point after it can go on.
        if not self.destination.create(PLAN, json.dumps(fields, indent=1).encode()):
            held = json.loads(self.destination.read(PLAN) or b"{}")
            if held.get("fingerprint") != self.fingerprint(held.get("format", 1)):
                raise DestinationError(
                    f"{self.destination} holds a migration of another source or listing, version, fidelity or effort, "
                    "--class or --limit, --fidelity-policy, --least-cosine or --verify, or of files that were modified "
                    "since; choose another folder, or repeat that command to finish it"
                )
        for below in (DEAD, DONE):
            self.destination.make(below)
