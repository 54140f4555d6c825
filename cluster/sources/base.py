"""Where records come from. A source plans shards, small and alike on every run, and reads one shard at a time.

A source of your own is a class with these two methods, made from a location and SourceOptions, and named to
`--reader package.module:Class` (or `open_source(location, reader=…)`). Make it a frozen dataclass: it is pickled to
workers, and its repr is part of what a migration's plan remembers, so that repr must be the same on every run,
differ where other records would be read, and show no secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import pyarrow.fs as pafs

from cluster.sources.shards import Shard
from nbmf.encryption import StoreKey
from nbmf.payload import Payload

DEFAULT_MAX_RECORD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """A record as its source holds it. `preview` marks a stub's semantic blob, which `payload` then is.

    `encrypted` says that the source holds it encrypted; what is here is not.
    """

    key: str
    record_class: str
    meta: Any
    payload: Payload
    place: str
    source_bytes: int
    preview: bool = False
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that could not be read: where it is, a machine-readable reason, and what was wrong."""

    place: str
    reason: str
    detail: str
    key: str | None = None
    source_bytes: int = 0


Item: TypeAlias = Record | BadRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What a source may be told. Fields name columns of Parquet and SQLite, or keys of JSON objects.

    `payload` is `row` where the whole row, or the whole object, is the payload, less the fields of key and class.
    `registry` is where the codec versions are that blobs in the source name. `key` decrypts records.
    """

    payload_field: str | None = None
    payload: str | None = None
    key_field: str | None = None
    class_field: str | None = None
    table: str | None = None
    parse_json: bool = False
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    key: StoreKey | None = None
    registry: str | None = field(default=None, repr=False)
    filesystem: pafs.FileSystem | None = field(default=None, repr=False, compare=False)
    follow_links: bool = field(default=False, repr=False)  # out of the folder that is read


@runtime_checkable
class Source(Protocol):
    """Records at some place.

    Three more methods are of use where a source can have them. `iter_shards()` yields what `plan` returns, so that a
    listing need not fit into memory. `split(shard)` yields the place of each of its records and a shard of that record
    alone, without looking into any: so records behind one that kills whoever reads it can be reached. `not_read()`
    yields a NotRead for each file or folder at the place that no shard is of.
    """

    def plan(self) -> list[Shard]:
        """The shards, in an order that depends on the source's content only. Raises RecordsError."""

    def read(self, shard: Shard) -> Iterator[Item]:
        """Every record of a shard, the bad ones too: nothing that a file holds may raise.

        Raises RecordsError where the files cannot be read now: SourceUnavailable, SourceChanged.
        """
