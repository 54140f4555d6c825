"""Payloads that are dict blobs, as stores that were migrated in place hold them, decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any, cast

from cluster.sources.base import BadRecord, Item, Record
from cluster.sources.blobs import decode_blobs
from cluster.sources.parsing import unwrapped
from nbmf import compat
from nbmf.batches import BATCH_RECORDS
from nbmf.encryption import told
from nbmf.errors import CodecError, NbmfError


def decoded_dict_blobs(items: Iterable[Item], registry: str | None, max_record_bytes: int) -> Iterator[Item]:
    """The items in order, those with a dict blob decoded. Raises SourceUnavailable, RegistryError."""
    for holds_blobs, group in groupby(items, _holds_dict_blob):
        if not holds_blobs:
            yield from group
            continue
        records = (item for item in group if isinstance(item, Record))
        while batch := list(islice(records, BATCH_RECORDS)):
            yield from _decoded(batch, registry, max_record_bytes)


def _holds_dict_blob(item: Item) -> bool:
    return isinstance(item, Record) and compat.is_dict_blob(item.payload)


def _decoded(records: Sequence[Record], registry: str | None, max_record_bytes: int) -> Iterator[Item]:
    blobs = [_blob(record) for record in records]
    payloads = decode_blobs((blob for blob in blobs if isinstance(blob, bytes)), registry, max_record_bytes)
    for record, blob in zip(records, blobs, strict=True):
        payload = next(payloads) if isinstance(blob, bytes) else blob
        if isinstance(payload, NbmfError):
            detail = told(payload, record.encrypted and not isinstance(payload, CodecError))
            yield BadRecord(record.place, payload.code, detail, record.key, record.source_bytes)
        else:
            meta, payload = unwrapped(record.meta, payload)
            yield replace(record, meta=meta, payload=payload)


def _blob(record: Record) -> bytes | NbmfError:
    try:
        return compat.unwrap(cast("dict[str, Any]", record.payload))
    except NbmfError as error:
        return error
