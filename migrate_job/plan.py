"""A migration's plan: fixed shards of a source and what is done with them, so that a rerun does the same."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.errors import DestinationError
from cluster.sources import Shard, Source
from nbmf.payload import Fidelity

PLAN = "_plan.json"
LOCK = "_lock"


@dataclass(frozen=True, slots=True)
class Plan:
    """What every worker needs: read `source`, write to `destination` with a version of `registry`."""

    source: Source
    shards: tuple[Shard, ...]
    destination: Path
    registry: str
    version: str
    fidelity: Fidelity

    def part_file(self, index: int) -> Path:
        """Blobs of a shard."""
        return self.destination / f"part-{index:06}.parquet"

    def dead_file(self, index: int) -> Path:
        """Dead letters of a shard."""
        return self.destination / "_dead" / f"{index:06}.jsonl"

    def done_file(self, index: int) -> Path:
        """Counts of a shard; written last, so a shard without one is not done."""
        return self.destination / "_done" / f"{index:06}.json"

    def fingerprint(self) -> str:
        """Changes when the source's listing, the version or the fidelity do."""
        what = [type(self.source).__name__, repr(self.source), self.version, self.fidelity]
        shards = [asdict(shard) for shard in self.shards]
        return hashlib.sha256(json.dumps([what, shards], sort_keys=True).encode()).hexdigest()

    def refuse_foreign(self) -> None:
        """Raises DestinationError if the destination holds something that is no migration."""
        if (self.destination / PLAN).exists() or not self.destination.exists():
            return
        if any(path.name not in (LOCK, PLAN + ".new") for path in self.destination.iterdir()):
            raise DestinationError(f"{self.destination} is not empty; a migration wants a folder of its own")

    def claim(self) -> None:
        """Makes the destination this plan's. Raises DestinationError if it holds anything else."""
        self.refuse_foreign()
        path = self.destination / PLAN
        fields = {"fingerprint": self.fingerprint(), "version": self.version, "shards": len(self.shards)}
        if path.exists():
            if json.loads(path.read_text())["fingerprint"] != fields["fingerprint"]:
                raise DestinationError(
                    f"{self.destination} holds a migration of another source or listing, version or fidelity; "
                    "choose another folder, or repeat that command to finish it"
                )
        else:
            # The plan comes first and whole: a run killed at any point after it can go on.
            scratch = path.with_name(PLAN + ".new")
            scratch.write_text(json.dumps(fields, indent=1))
            scratch.replace(path)
        for folder in (self.dead_file(0).parent, self.done_file(0).parent):
            folder.mkdir(exist_ok=True)

    def to_bytes(self) -> bytes:
        """For the workers."""
        return pickle.dumps(self)
