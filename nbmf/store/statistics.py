"""What a store holds, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class ClassStatistics:
    """Of one class. `payload_bytes` counts canonical bytes, `blob_bytes` blobs before they are encrypted."""

    records: int = 0
    payload_bytes: int = 0
    blob_bytes: int = 0

    @property
    def ratio(self) -> float | None:
        """Payload bytes / blob bytes; None where there are no blobs."""
        return self.payload_bytes / self.blob_bytes if self.blob_bytes else None


@dataclass(slots=True)
class Statistics(ClassStatistics):
    """Of a store; `source_bytes` are what the records took where they came from. `records` counts every one."""

    source_bytes: int = 0
    previews: int = 0
    encrypted: int = 0
    unmigrated: int = 0
    classes: dict[str, ClassStatistics] = field(default_factory=dict)

    def count(self, record_class: str, *, payload_bytes: int, blob_bytes: int, records: int = 1) -> None:
        """Adds records of a class."""
        for one in (self, self.classes.setdefault(record_class, ClassStatistics())):
            one.records += records
            one.payload_bytes += payload_bytes
            one.blob_bytes += blob_bytes

    def merge(self, other: Statistics) -> None:
        """Adds another store's, or a part's."""
        for name, one in other.classes.items():
            self.count(name, payload_bytes=one.payload_bytes, blob_bytes=one.blob_bytes, records=one.records)
        self.source_bytes += other.source_bytes
        self.previews += other.previews
        self.encrypted += other.encrypted
        self.unmigrated += other.unmigrated

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Statistics:
        """What `to_dict` gave."""
        classes = {name: ClassStatistics(**one) for name, one in fields["classes"].items()}
        return cls(**{**fields, "classes": classes})

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Statistics:
        """Of rows as `nbmf.store.schema` has them, their blobs not sealed."""
        found = cls()
        for row in rows:
            found.count(row["class"], payload_bytes=row["payload_bytes"], blob_bytes=len(row["blob"]))
            found.source_bytes += row["source_bytes"]
            found.previews += bool(row["preview"])
            found.encrypted += bool(row.get("encrypted"))
        return found
