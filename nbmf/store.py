"""A store of blobs: a folder of Parquet files with one row a record, as migrations write it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmf import api
from nbmf.codec import Codec
from nbmf.payload import Payload

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One row. `preview` marks a stub's semantic blob, carried over as it was: `payload()` is then that dict."""

    key: str
    record_class: str
    meta: Any
    blob: bytes
    preview: bool

    def payload(self, codec: Codec | None = None) -> Payload:
        """The decoded payload. Raises as `nbmf.decode`."""
        return api.decode(self.blob, codec=codec)


def schema() -> pa.Schema:
    """Columns of the Parquet files. `meta` is JSON text; `payload_bytes` counts canonical bytes."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("class", pa.string(), nullable=False),
            pa.field("meta", pa.string(), nullable=False),
            pa.field("blob", pa.binary(), nullable=False),
            pa.field("preview", pa.bool_(), nullable=False),
            pa.field("source_bytes", pa.int64(), nullable=False),
            pa.field("payload_bytes", pa.int64(), nullable=False),
        ]
    )


def iterate(folder: str | Path) -> Iterator[StoredRecord]:
    """All records of a store, file by file in name order, without holding more than a batch of rows."""
    import pyarrow.parquet as pq

    for path in sorted(Path(folder).glob("part-*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["key", "class", "meta", "blob", "preview"]):
                for row in batch.to_pylist():
                    yield StoredRecord(row["key"], row["class"], json.loads(row["meta"]), row["blob"], row["preview"])
