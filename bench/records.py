"""Records to measure on, and which of a file's are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from cluster.sources import BadRecord, Source
from nbmf.errors import NbmfError
from nbmf.payload import Kind, to_canonical

T = TypeVar("T")


class NotEqual(NbmfError):
    """A record did not decode to what was encoded."""

    code = "not_equal"


class NothingToMeasure(NbmfError):
    """There are no records, or fewer than what is to be measured takes."""

    code = "nothing_to_measure"


@dataclass(frozen=True, slots=True)
class BenchRecord:
    """A record's set, kind and canonical bytes."""

    set: str
    kind: Kind
    canonical: bytes


def read(source: Source) -> list[BenchRecord]:
    """All good records of a source; their class is their set."""
    records = []
    for shard in source.plan():
        for item in source.read(shard):
            if not isinstance(item, BadRecord):
                records.append(BenchRecord(item.record_class or "records", *to_canonical(item.payload)))
    return records


def spaced(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items at even distances from one another, in order; all of them if there are no more."""
    taken = min(count, len(items))
    return [items[index * len(items) // taken] for index in range(taken)]


def payload_bytes(records: Sequence[BenchRecord]) -> int:
    """Canonical bytes of all together."""
    return sum(len(record.canonical) for record in records)
