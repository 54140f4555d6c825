"""Records to rows, in batches: encoded, decoded again, and each payload compared with the one it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from cluster.sources import BadRecord, Record
from migrate_job.plan import Plan
from nbmf import Codec
from nbmf.errors import NbmfError
from nbmf.payload import Kind, Payload, to_canonical

BATCH_RECORDS = 256
BATCH_BYTES = 1024 * 1024
"""Canonical bytes of a batch; a larger record is a batch of its own."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A record of which everything but the payload's coding is known to be sound."""

    record: Record
    meta: str
    written: tuple[Kind, bytes]


def migrate_records(items: Iterable[Record | BadRecord], codec: Codec, plan: Plan) -> Iterator[Row | BadRecord]:
    """In the order of the items: a row where a blob decodes to an equal payload, or why there is none."""
    for batch in _batches(item if isinstance(item, BadRecord) else _checked(item) for item in items):
        coded = iter(_coded([item for item in batch if isinstance(item, _Checked)], codec, plan))
        for item in batch:
            yield item if isinstance(item, BadRecord) else next(coded)


def _checked(record: Record) -> _Checked | BadRecord:
    try:
        for name in (record.key, record.record_class):
            name.encode()
        return _Checked(record, json.dumps(record.meta), to_canonical(record.payload))
    except NbmfError as error:
        return _bad(record, error.code, str(error))
    except UnicodeEncodeError as error:
        return _bad(record, "bad_key", f"key or class is not Unicode text: {error}")
    except (ValueError, RecursionError) as error:
        return _bad(record, "bad_meta", f"meta cannot be written as JSON: {error}")


def _batches(items: Iterable[_Checked | BadRecord]) -> Iterator[list[_Checked | BadRecord]]:
    batch: list[_Checked | BadRecord] = []
    held_bytes = 0
    for item in items:
        size_bytes = len(item.written[1]) if isinstance(item, _Checked) else 0
        if batch and (len(batch) >= BATCH_RECORDS or held_bytes + size_bytes > BATCH_BYTES):
            yield batch
            batch, held_bytes = [], 0
        batch.append(item)
        held_bytes += size_bytes
    if batch:
        yield batch


def _coded(batch: list[_Checked], codec: Codec, plan: Plan) -> list[Row | BadRecord]:
    """One call for the batch; if that raises, one for each record, so that a fault is one record's only."""
    try:
        return _together(batch, codec, plan)
    except Exception as error:
        if len(batch) > 1:
            return [_coded([one], codec, plan)[0] for one in batch]
        (one,) = batch
        if isinstance(error, NbmfError):
            return [_bad(one.record, error.code, str(error))]
        return [_bad(one.record, "internal_error", f"{type(error).__name__}: {error}")]


def _together(batch: list[_Checked], codec: Codec, plan: Plan) -> list[Row | BadRecord]:
    blobs = codec.encode_batch(
        [one.record.payload for one in batch],
        plan.fidelity,
        effort=plan.effort,
        latency_budget_ms=plan.latency_budget_ms,
    )
    decoded = iter(codec.decode_batch([blob for blob in blobs if not isinstance(blob, NbmfError)]))
    return [
        _bad(one.record, blob.code, str(blob)) if isinstance(blob, NbmfError) else _verified(one, blob, next(decoded))
        for one, blob in zip(batch, blobs, strict=True)
    ]


def _verified(one: _Checked, blob: bytes, decoded: Payload | NbmfError) -> Row | BadRecord:
    record = one.record
    if isinstance(decoded, NbmfError):
        return _bad(record, decoded.code, str(decoded))
    if to_canonical(decoded) != one.written:
        return _bad(record, "verification_failed", "the blob decodes to another payload")
    return {
        "key": record.key,
        "class": record.record_class,
        "meta": one.meta,
        "blob": blob,
        "preview": record.preview,
        "encrypted": record.encrypted,
        "place": record.place,
        "source_bytes": record.source_bytes,
        "payload_bytes": len(one.written[1]),
    }


def _bad(record: Record, reason: str, detail: str) -> BadRecord:
    return BadRecord(record.place, reason, detail, record.key, record.source_bytes)
