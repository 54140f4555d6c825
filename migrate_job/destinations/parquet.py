"""A Parquet data set: a part for each shard, and at the end the index of all keys."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.errors import DestinationError
from cluster.sources import BadRecord
from migrate_job.destinations.base import Row
from migrate_job.layout import done_name
from nbmf.encryption import StoreKey
from nbmf.store.folder import Folder
from nbmf.store.index_build import ensure_index
from nbmf.store.layout import part_name
from nbmf.store.parts import write_part


@dataclass(frozen=True, slots=True)
class ParquetParts:
    """`part-*.parquet` and `_index.arrow` in the run's folder. Encrypted records are sealed with `key`."""

    key: StoreKey | None = None

    def prepare(self, folder: Folder) -> None:
        pass

    def write(self, folder: Folder, index: int, rows: list[Row]) -> list[BadRecord]:
        write_part(folder, part_name(index), rows, self.key)
        return []

    def finish(self, folder: Folder, shards: int) -> None:
        """Raises DestinationError if parts are gone."""
        there = set(folder.entries())
        for index in range(shards):
            if part_name(index) not in there:
                gone = f"{folder}/{part_name(index)}"
                raise DestinationError(f"{gone} is gone; remove {folder}/{done_name(index)} and migrate again")
        ensure_index(folder)
