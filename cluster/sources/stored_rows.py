"""Rows as stores of nbmf have them, checked, decrypted and decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from cluster.errors import RecordsError
from cluster.sources.base import BadRecord, Item, Record
from cluster.sources.blobs import decode_blobs
from cluster.sources.parsing import Refused, too_large
from cluster.sources.storage import Storage
from nbmf.batches import BATCH_RECORDS
from nbmf.encryption import KEY_REMEDY, StoreKey, told
from nbmf.errors import CodecError, EncryptionError, NbmfError
from nbmf.store.errors import KeyRequired, StoreError
from nbmf.store.layout import PLAN, REPORT
from nbmf.store.record import StoredRecord
from nbmf.store.rows import to_record

COLUMNS = {"key": str, "class": str, "meta": str, "blob": bytes, "preview": bool}
ENCRYPTED = "encrypted"


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row's blob, decrypted, and the record to be, which has no payload yet."""

    record: Record
    blob: bytes


def refuse_unfinished(storage: Storage, folder: str) -> None:
    """Raises RecordsError if a folder is of a migration that has begun and has no report yet."""
    has = {name: storage.state(f"{folder}/{name}").is_file for name in (PLAN, REPORT)}
    if has[PLAN] and not has[REPORT]:
        raise RecordsError(f"{storage.show(folder)} holds a migration that was not finished; repeat its command first")


def checked_row(
    fields: Mapping[str, Any], place: str, key: StoreKey | None, max_record_bytes: int
) -> StoredRow | BadRecord:
    """The row, or what is wrong with it."""
    record_key = fields["key"] if type(fields["key"]) is str else None
    size = len(fields["blob"]) if type(fields["blob"]) is bytes else 0
    try:
        for name, type_ in COLUMNS.items():
            if type(fields[name]) is not type_:
                raise Refused("damaged_row", f"{name} is {type(fields[name]).__name__}, not {type_.__name__}")
        if size > max_record_bytes:
            raise too_large(size, max_record_bytes)
        held = _opened(fields, key)
    except Refused as refused:
        return refused.bad(place, record_key, size)
    record = Record(held.key, held.record_class, held.meta, None, place, size, held.preview, held.encrypted)
    return StoredRow(record, held.blob)


def decoded_rows(rows: Iterator[StoredRow | BadRecord], registry: str | None, max_record_bytes: int) -> Iterator[Item]:
    """Records with their payloads, in order and a batch at a time."""
    while batch := list(islice(rows, BATCH_RECORDS)):
        yield from _decoded(batch, registry, max_record_bytes)


def _decoded(rows: Iterable[StoredRow | BadRecord], registry: str | None, max_record_bytes: int) -> Iterator[Item]:
    blobs = (row.blob for row in rows if isinstance(row, StoredRow))
    payloads = decode_blobs(blobs, registry, max_record_bytes)
    for row in rows:
        if isinstance(row, BadRecord):
            yield row
            continue
        payload, record = next(payloads), row.record
        if isinstance(payload, NbmfError):
            detail = told(payload, record.encrypted and not isinstance(payload, CodecError))
            yield BadRecord(record.place, payload.code, detail, record.key, record.source_bytes)
        else:
            yield replace(record, payload=payload)


def _opened(fields: Mapping[str, Any], key: StoreKey | None) -> StoredRecord:
    try:
        return to_record(fields, key)
    except KeyRequired:
        raise Refused("encrypted", KEY_REMEDY) from None
    except EncryptionError as error:
        raise Refused(error.code, str(error)) from None
    except StoreError as error:
        raise Refused("bad_meta", told(error, bool(fields[ENCRYPTED]))) from None
