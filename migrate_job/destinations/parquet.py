"""A Parquet data set: a part for each shard, and at the end the index of all keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.errors import DestinationError
from cluster.sources import BadRecord
from migrate_job.destinations.base import Row
from migrate_job.layout import done_file
from nbmf.encryption import StoreKey
from nbmf.store.index_build import ensure_index
from nbmf.store.layout import part_name
from nbmf.store.parts import write_part


def part_file(folder: Path, index: int) -> Path:
    """The blobs of a shard."""
    return folder / part_name(index)


@dataclass(frozen=True, slots=True)
class ParquetParts:
    """`part-*.parquet` and `_index.arrow` in the run's folder. Encrypted records are sealed with `key`."""

    key: StoreKey | None = None

    def prepare(self, folder: Path) -> None:
        pass

    def write(self, folder: Path, index: int, rows: list[Row]) -> list[BadRecord]:
        write_part(part_file(folder, index), rows, self.key)
        return []

    def finish(self, folder: Path, shards: int) -> None:
        """Raises DestinationError if parts are gone."""
        for index in range(shards):
            part = part_file(folder, index)
            if not part.exists():
                raise DestinationError(f"{part} is gone; remove {done_file(folder, index)} and migrate again")
        ensure_index(folder)
