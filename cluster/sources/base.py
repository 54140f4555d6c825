"""Where records come from. A source plans shards, small and alike on every run, and reads one shard at a time.

To add a source, write a class with these two methods and name it in `cluster.sources.open_source`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from cluster.sources.stamps import FileStamp
from nbmf.payload import Payload

DEFAULT_MAX_RECORD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """A record as its source holds it. `preview` marks a stub's semantic blob, which `payload` then is."""

    key: str
    record_class: str
    meta: Any
    payload: Payload
    place: str
    source_bytes: int
    preview: bool = False


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read: where it is, a machine-readable reason, and what was wrong."""

    place: str
    reason: str
    detail: str
    key: str | None = None
    source_bytes: int = 0


Item: TypeAlias = Record | BadRecord


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a source that one task reads. `span` is whatever its source needs to find it.

    `files` are the files it is in, as they were when it was planned; `size_bytes` is its share of them, about.
    """

    path: str
    span: tuple[Any, ...] = field(default=())
    files: tuple[FileStamp, ...] = field(default=())
    size_bytes: int = 0


class Source(Protocol):
    """Records at some place.

    Two more methods are of use where a source can have them. `iter_shards()` yields what `plan` returns, so that a
    listing need not fit into memory. `split(shard)` yields the place of each of its records and a shard of that record
    alone, without looking into any: so records behind one that kills whoever reads it can be reached.
    """

    def plan(self) -> list[Shard]:
        """The shards, in an order that depends on the source's content only. Raises RecordsError."""

    def read(self, shard: Shard) -> Iterator[Item]:
        """Every record of a shard, the bad ones too: nothing that a file holds may raise."""
