"""Sources as training reads them: JSON in text is parsed, known formats are recognised."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace

import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources import JsonLines, ParquetFiles, Source, SqliteTable, open_source
from cluster.sources.choice import PayloadField, Whole
from cluster.sources.parquet import DAMAGE
from cluster.sources.sqlite_catalog import find_table
from cluster.sources.sqlite_file import connect
from train_app.samples.formats import KnownFormats, columns_known


@dataclass(frozen=True, slots=True)
class Reading:
    """How records are read, as options say: `cluster.sources.open_source` has the fields.

    `unwrap`: known formats are looked for, unless a field or the row is named as the payload. Of legacy stores and data
    sets, which say themselves what the payload is, they never are.
    """

    payload_field: str | None = None
    payload: str | None = None
    class_field: str | None = None
    table: str | None = None
    unwrap: bool = True

    def open(self, paths: Iterable[str]) -> list[Source]:
        """A source a path. Raises RecordsError."""
        return [self._open(path) for path in paths]

    def _open(self, path: str) -> Source:
        source = open_source(
            path,
            payload_field=self.payload_field,
            payload=self.payload,
            class_field=self.class_field,
            table=self.table,
            parse_json=True,
        )
        if not self.unwrap or self.payload_field is not None or self.payload is not None:
            return source
        if isinstance(source, JsonLines):
            return KnownFormats(source)
        if isinstance(source, ParquetFiles | SqliteTable) and self.class_field is None:
            return _of_table(source)
        return source


def _of_table(source: ParquetFiles | SqliteTable) -> Source:
    """The same source, or one of the payload that its columns' names tell."""
    found = _of_parquet(source) if isinstance(source, ParquetFiles) else _of_sqlite(source)
    if found is Whole.ROW:
        return KnownFormats(replace(source, payload_field=found, parse_json=False))
    return source if found is None else replace(source, payload_field=found)


def _of_parquet(source: ParquetFiles) -> PayloadField:
    """Of all files, if they agree; what cannot be read is left to whoever reads it."""
    found: set[PayloadField] = set()
    with contextlib.suppress(*DAMAGE):
        for path in map(str, source.paths):
            with source.storage.open(path) as opened, pq.ParquetFile(opened) as file:
                found.add(columns_known(set(file.schema_arrow.names)))
    return found.pop() if len(found) == 1 else None


def _of_sqlite(source: SqliteTable) -> PayloadField:
    with contextlib.suppress(RecordsError, OSError, sqlite3.Error), closing(connect(source.path)) as connection:
        table = find_table(connection, source.table, str(source.path))
        return columns_known({column.name for column in table.columns()})
    return None
