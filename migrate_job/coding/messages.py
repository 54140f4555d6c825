"""What a coder process and its parent say to each other. First of all the process is given the plan, without shards."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.sources import BadRecord, Shard
from migrate_job.coding.records import Row


@dataclass(frozen=True, slots=True)
class Ready:
    """The version is loaded. What happens from now on is the records' fault."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Asks for a shard of the plan, which was the first message, to be migrated. The answer is its counts."""

    index: int
    shard: Shard


@dataclass(frozen=True, slots=True)
class Units:
    """Asks for units `start` up to `stop` of a shard. A unit is a part that the source splits it into, or a record."""

    index: int
    shard: Shard
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A unit is about to be read. `separable`: those behind it can be read without it."""

    unit: int
    separable: bool
    place: str
    source_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Coding:
    """The units from the first asked for up to `stop` are read; `last` is the last record of them."""

    stop: int
    last: BadRecord | None
    seconds: float


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """Python could not allocate; the process ends."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that no record is to blame for: to be raised by the parent."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the units from the first asked for up to `stop`; `exhausted`: there are no more."""

    stop: int
    outcomes: list[Row | BadRecord]
    other_class: int
    exhausted: bool
