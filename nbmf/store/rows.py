"""Rows of Parquet and SQLite stores: their columns, and how those of encrypted records are sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from nbmf import json_text
from nbmf.encryption import StoreKey
from nbmf.errors import DamagedEnvelope, WrongKey
from nbmf.extras import require
from nbmf.store.errors import KeyRequired, StoreError
from nbmf.store.record import StoredRecord

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = dict[str, Any]

RECORD_COLUMNS = ("key", "class", "meta", "blob", "preview", "encrypted")
"""What a StoredRecord is made of."""

_SEPARATOR = b"\0"
"""Between meta and blob of what is sealed: JSON text has no NUL."""

SEALED_META = "null"
"""The column `meta` of an encrypted record, whose own is sealed with the blob."""


def schema() -> pa.Schema:
    """Columns of the Parquet files. `meta` is JSON text; `payload_bytes` counts canonical bytes."""
    require("a Parquet store", "pyarrow")
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("class", pa.string(), nullable=False),
            pa.field("meta", pa.string(), nullable=False),
            pa.field("blob", pa.binary(), nullable=False),
            pa.field("preview", pa.bool_(), nullable=False),
            pa.field("encrypted", pa.bool_(), nullable=False),
            pa.field("source_bytes", pa.int64(), nullable=False),
            pa.field("payload_bytes", pa.int64(), nullable=False),
        ]
    )


def sealed(row: Row, key: StoreKey | None) -> Row:
    """The row as it is stored: of an encrypted record meta and blob are sealed, into `blob`. Raises KeyRequired."""
    if not row["encrypted"]:
        return row
    if key is None:
        raise KeyRequired(f"record {row['key']!r} is encrypted at its source; its key is needed to write it")
    content = row["meta"].encode() + _SEPARATOR + row["blob"]
    return row | {"meta": SEALED_META, "blob": key.seal(content, context=_context(row))}


def to_record(row: Mapping[str, Any], key: StoreKey | None) -> StoredRecord:
    """The record in a stored row. Raises KeyRequired, WrongKey, DamagedEnvelope for one that is encrypted.

    And StoreError if its meta is damaged.
    """
    name = f"record {row['key']!r} of class {row['class']!r}"
    meta, blob, encrypted = row["meta"], row["blob"], bool(row.get("encrypted"))
    try:
        if encrypted:
            meta, blob = _opened(row, key, name)
        found = json_text.loads(meta)
    except ValueError as error:
        raise StoreError(f"{name}: its meta is damaged: {error}") from error
    return StoredRecord(row["key"], row["class"], found, blob, bool(row["preview"]), encrypted)


def _opened(row: Mapping[str, Any], key: StoreKey | None, name: str) -> tuple[str, bytes]:
    if key is None:
        raise KeyRequired(f"{name} is encrypted; open the store with its key, or set NBMF_STORE_KEY")
    try:
        meta, separator, blob = key.open(row["blob"]).partition(_SEPARATOR)
    except WrongKey as error:
        raise WrongKey(f"{name}: {error}") from None
    if not separator:
        raise DamagedEnvelope(f"{name}: what was sealed is no record")
    return meta.decode(), blob


def _context(row: Row) -> bytes:
    return json.dumps([row["key"], row["class"]]).encode()
