"""Stores of blobs, as migrations write them: `nbmf.store.open(path)`, then get, iterate, statistics.

>>> from nbmf import store
>>> with store.open("new-store") as memory:  # doctest: +SKIP
...     memory.get("session-7", "chat").payload()
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nbmf.encryption import StoreKey
from nbmf.store.base import Store
from nbmf.store.index_build import build_index
from nbmf.store.opening import open_store
from nbmf.store.record import RecordKey, StoredRecord
from nbmf.store.rows import schema
from nbmf.store.statistics import Statistics

open = open_store  # noqa: A001


def iterate(folder: str | Path, key: StoreKey | None = None) -> Iterator[StoredRecord]:
    """All records of a store, in its order, without holding more than a batch of them. See `open`."""
    with open_store(folder, key=key) as opened:
        yield from opened.iterate()


__all__ = [
    "RecordKey",
    "Statistics",
    "Store",
    "StoredRecord",
    "build_index",
    "iterate",
    "open",
    "schema",
]
