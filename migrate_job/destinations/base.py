"""Where a migration's records go. Workers write shards, in any order; the driver finishes when all are done.

To add a destination, write a frozen dataclass with these methods and give it to `job.run`. `folder` is the run's
own: the plan, done markers and dead letters are in it, and whatever the destination keeps there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias

from cluster.errors import DestinationError
from cluster.sources import BadRecord
from nbmf.store.folder import Folder, LocalFolder

Row: TypeAlias = dict[str, Any]
"""Columns of `nbmf.store.schema`, with `meta` and `blob` in the clear, and `place`: where the source has the record."""


class Destination(Protocol):
    """Where a migration's records go."""

    def prepare(self, folder: Folder) -> None:
        """The run has its folder and is about to write. Raises DestinationError if that cannot come to an end."""

    def write(self, folder: Folder, index: int, rows: list[Row]) -> list[BadRecord]:
        """A shard's records, whole and on disk when this returns, and those that had to be left out.

        It is called again for a shard of which a worker was killed, sometimes while that worker still runs: the
        same rows must come to the same.
        """

    def finish(self, folder: Folder, shards: int) -> None:
        """All shards are written. Called again, by a run that was killed or repeated, it finds what it did done."""


def on_this_machine(folder: Folder) -> Path:
    """The path of a run's folder. Raises DestinationError for one that is elsewhere."""
    if not isinstance(folder, LocalFolder):
        raise DestinationError(f"{folder} is on an object store; this destination needs a folder of this machine")
    return folder.path
