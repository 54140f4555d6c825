"""A SQLite file. Workers write Parquet parts; at the end they are moved into one file, a transaction a shard.

The file is built in the run's folder, and has its name only when it is whole. A shard's rows and the note that it is
in are one transaction, so a run that was killed neither loses nor doubles a record. What takes the name is a compact
copy, the same to the byte however often the run was killed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import DestinationError
from cluster.sources import BadRecord
from migrate_job.destinations.base import Row, on_this_machine
from migrate_job.layout import done_name
from nbmf.encryption import StoreKey
from nbmf.store.errors import StoreError
from nbmf.store.files import sync
from nbmf.store.folder import Folder
from nbmf.store.layout import BESIDE_SQLITE, PLAN, part_name
from nbmf.store.parts import part_statistics, write_part
from nbmf.store.rows import schema
from nbmf.store.sqlite import APPLICATION_ID, FORMAT, INDEX, TABLES, SqliteStore

BUILDING = "building.sqlite"
PACKED = "packed.sqlite"
_ROWS = 1000
_COLUMNS = tuple(schema().names)
_INSERT = f"INSERT INTO records({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - ours


def run_folder(file: Path) -> Path:
    """Where plan, parts, dead letters and report of a migration into `file` are."""
    return file.with_name(file.name + BESIDE_SQLITE)


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """`file`, which `nbmf.store.sqlite` describes. Encrypted records are sealed with `key`."""

    file: Path
    key: StoreKey | None = None

    def prepare(self, folder: Folder) -> None:
        if self.file.exists() and not self._is_ours(on_this_machine(folder)):
            raise DestinationError(f"{self.file} is there already, and not of this migration; choose another name")
        if not self.file.parent.is_dir():
            raise DestinationError(f"{self.file.parent} is no folder")

    def write(self, folder: Folder, index: int, rows: list[Row]) -> list[BadRecord]:
        write_part(folder, part_name(index), rows, self.key)
        return []

    def finish(self, folder: Folder, shards: int) -> None:
        """Raises DestinationError if parts are gone that are not in the file, or the file is of something else."""
        self.prepare(folder)
        self._finish(on_this_machine(folder), shards)

    def _finish(self, folder: Path, shards: int) -> None:
        building, packed = folder / BUILDING, folder / PACKED
        if not self.file.exists():
            packed.unlink(missing_ok=True)
            try:
                with closing(sqlite3.connect(building, isolation_level=None)) as connection:
                    _build(connection, folder, shards)
                    connection.execute("VACUUM INTO ?", [str(packed)])
            except sqlite3.Error as error:
                raise DestinationError(f"{building}: {error}") from error
            sync(packed)
            packed.rename(self.file)
            sync(self.file.parent)
        building.unlink(missing_ok=True)
        for index in range(shards):
            (folder / part_name(index)).unlink(missing_ok=True)

    def _is_ours(self, folder: Path) -> bool:
        try:
            with closing(SqliteStore(self.file)) as store:
                return store.migration() == _fingerprint(folder)
        except StoreError:
            return False


def _build(connection: sqlite3.Connection, folder: Path, shards: int) -> None:
    connection.executescript("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration'").fetchone():
        connection.execute("BEGIN")
        for table in TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO migration VALUES (?)", [_fingerprint(folder)])
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    for index in range(shards):
        _move(connection, folder, index)
    connection.execute(INDEX)


def _fingerprint(folder: Path) -> str:
    return str(json.loads((folder / PLAN).read_text())["fingerprint"])


def _move(connection: sqlite3.Connection, folder: Path, index: int) -> None:
    """A shard's part into the tables, then away: unless it is there already."""
    part = folder / part_name(index)
    if not connection.execute("SELECT 1 FROM shards WHERE shard = ?", [index]).fetchone():
        if not part.exists():
            raise DestinationError(f"{part} is gone and not in {BUILDING}; remove {folder} and migrate again")
        try:
            with pq.ParquetFile(part) as file, connection:
                statistics = part_statistics(file)
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, _values(file))
                noted = (index, statistics.records, json.dumps(statistics.to_dict()))
                connection.execute("INSERT INTO shards VALUES (?, ?, ?)", noted)
        except pa.ArrowException as error:
            again = f"remove it and {folder / done_name(index)}, and migrate again"
            raise DestinationError(f"{part} is damaged: {error}; {again}") from error
    part.unlink(missing_ok=True)


def _values(file: pq.ParquetFile) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches(batch_size=_ROWS, columns=list(_COLUMNS)):
        for row in batch.to_pylist():
            yield tuple(row[name] for name in _COLUMNS)
