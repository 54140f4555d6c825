"""An nbmf data set, to be re-encoded with another version: a folder of `part-*.parquet` as migrations write it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Record, Shard
from cluster.sources.blobs import BATCH_RECORDS, decode_blobs
from cluster.sources.parquet import DAMAGE, open_shard, row_fields, row_groups, split_rows
from cluster.sources.parsing import KEY_REMEDY, Refused, too_large
from cluster.sources.storage import LOCAL, Storage
from nbmf.encryption import StoreKey
from nbmf.errors import EncryptionError, NbmfError

COLUMNS = {"key": str, "class": str, "meta": str, "blob": bytes, "preview": bool}
_ENCRYPTED = "encrypted"
_SEPARATOR = b"\0"
_PLAN, _REPORT = "_plan.json", "report.json"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's blob, decrypted, and the record to be, which has no payload yet."""

    record: Record
    blob: bytes


@dataclass(frozen=True, slots=True)
class DataSet:
    """Parts of a data set. Keys, classes, meta and previews stay what they are; blobs are decoded."""

    paths: tuple[str, ...]
    registry: str | None = field(default=None, repr=False)
    key: StoreKey | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        for folder in sorted({path.rpartition("/")[0] for path in self.paths}):
            has = {name: self.storage.state(f"{folder}/{name}").is_file for name in (_PLAN, _REPORT)}
            if has[_PLAN] and not has[_REPORT]:
                raise RecordsError(
                    f"{self.storage.show(folder)} holds a migration that was not finished; repeat its command first"
                )
        for path in self.paths:
            yield from row_groups(path, self.storage, _check_columns)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        return split_rows(shard)

    def read(self, shard: Shard) -> Iterator[Item]:
        shown = self.storage.show(shard.path)
        group, *only = shard.span
        number = 0
        try:
            with open_shard(shard) as file:
                columns = [name for name in file.schema_arrow.names if name in (*COLUMNS, _ENCRYPTED)]
                for batch in file.iter_batches(batch_size=BATCH_RECORDS, row_groups=[group], columns=columns):
                    wanted = [at for at in range(batch.num_rows) if number + at in only or not only]
                    rows = [self._row(batch.slice(at, 1), f"{shown}:{group}:{number + at}") for at in wanted]
                    yield from self._decoded(rows)
                    number += batch.num_rows
        except DAMAGE as error:
            yield BadRecord(f"{shown}:{group}:{number}", "damaged_file", str(error))

    def _row(self, batch: pa.RecordBatch, place: str) -> _Row | BadRecord:
        fields = row_fields(batch, place)
        if isinstance(fields, BadRecord):
            return fields
        key = fields["key"] if type(fields["key"]) is str else None
        size = len(fields["blob"]) if type(fields["blob"]) is bytes else 0
        try:
            return self._checked(fields, place, size)
        except Refused as refused:
            return refused.bad(place, key, size)

    def _checked(self, fields: dict[str, Any], place: str, size: int) -> _Row:
        for name, type_ in COLUMNS.items():
            if type(fields[name]) is not type_:
                raise Refused("damaged_row", f"{name} is {type(fields[name]).__name__}, not {type_.__name__}")
        if size > self.max_record_bytes:
            raise too_large(size, self.max_record_bytes)
        meta, blob, encrypted = fields["meta"], fields["blob"], bool(fields.get(_ENCRYPTED))
        if encrypted:
            meta, blob = _unsealed(blob, self.key)
        try:
            value = json.loads(meta)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_meta", f"meta is not JSON: {error}") from None
        record = Record(fields["key"], fields["class"], value, None, place, size, fields["preview"], encrypted)
        return _Row(record, blob)

    def _decoded(self, rows: Sequence[_Row | BadRecord]) -> Iterator[Item]:
        blobs = (row.blob for row in rows if isinstance(row, _Row))
        payloads = decode_blobs(blobs, self.registry, self.max_record_bytes)
        for row in rows:
            if isinstance(row, BadRecord):
                yield row
                continue
            payload = next(payloads)
            record = row.record
            if isinstance(payload, NbmfError):
                yield BadRecord(record.place, payload.code, str(payload), record.key, record.source_bytes)
            else:
                yield replace(record, payload=payload)


def is_data_set(storage: Storage, path: str) -> bool:
    """Whether a Parquet file has the columns of a data set's part."""
    try:
        with storage.open(path) as opened, pq.ParquetFile(opened) as file:
            return set(COLUMNS) <= set(file.schema_arrow.names)
    except DAMAGE:
        return False


def _check_columns(schema: pa.Schema, shown: str) -> None:
    missing = sorted(set(COLUMNS) - set(schema.names))
    if missing:
        raise RecordsError(f"{shown} is no part of a data set: it has no column {', '.join(missing)}")


def _unsealed(blob: bytes, key: StoreKey | None) -> tuple[str, bytes]:
    """Meta and blob of a row that is encrypted at rest: sealed as one, the meta first. Raises Refused."""
    if key is None:
        raise Refused("encrypted", KEY_REMEDY)
    try:
        meta, separator, content = key.open(blob).partition(_SEPARATOR)
    except EncryptionError as error:
        raise Refused(error.code, str(error)) from None
    if not separator:
        raise Refused("damaged_envelope", "what was sealed is no record")
    try:
        return meta.decode(), content
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", str(error)) from None
