"""A shard that killed its process, coded once more so that the records which do it are found, and the others migrated.

Its records are read and coded in another process, batch by batch. When that dies or hangs, the batch is cut
into ever smaller ones until the record is alone. It is a dead letter when it brings down the process alone, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from cluster.sources import BadRecord
from migrate_job.coding.child import Child, ChildDied, ended
from migrate_job.coding.messages import Coding, Done, OutOfMemory, Reading, Units
from migrate_job.coding.records import Row
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import CLASS, Selection
from nbmf.batches import BATCH_RECORDS

CRASHED = "crashed_worker"
TIMED_OUT = "timed_out"

_PARTS = 16
"""Into how many a batch is cut: fewer would mean more deaths, and of a record that hangs each takes its time."""

_ALONE_TRIES = 2


@dataclass(frozen=True, slots=True)
class _Range:
    start: int
    stop: int | None
    tries: int = 0

    @property
    def alone(self) -> bool:
        return self.stop == self.start + 1


@dataclass(frozen=True, slots=True)
class _Death:
    """How far the process came: units up to `stop` were with it."""

    reason: str
    detail: str
    stop: int
    reading: Reading | None
    last: BadRecord | None


def isolated_records(child: Child, plan: Plan, index: int, selection: Selection) -> Iterator[Row | BadRecord]:
    """As `migrate_records` over the shard's records. Raises WorkerDied if it is not the records that kill."""
    todo = [_Range(0, None)]  # the next one is the last
    while todo:
        now = todo.pop()
        stop = now.start + BATCH_RECORDS if now.stop is None else now.stop
        answer = _code(child, plan, Units(index, plan.shards[index], now.start, stop))
        if isinstance(answer, Done):
            if answer.other_class:
                selection.skipped[CLASS] += answer.other_class
            yield from (outcome for outcome in answer.outcomes if selection.take())
            if not answer.exhausted and (now.stop is None or answer.stop < now.stop):
                todo.append(_Range(answer.stop, now.stop))
            continue
        if now.alone and now.tries + 1 >= _ALONE_TRIES:
            if selection.take():
                yield _letter(answer, now.tries + 1)
            if answer.reading is not None and not answer.reading.separable:
                return  # nor can what follows it be read
            continue
        todo += reversed(_cut(now, answer))


def _cut(now: _Range, death: _Death) -> list[_Range]:
    """The range again, in parts; a unit that the process died of while reading it alone is one of them."""
    if now.alone:
        return [replace(now, tries=now.tries + 1)]
    if death.reading is not None:
        suspect = max(now.start, death.reading.unit)
        edges = [now.start, suspect, suspect + 1]
    else:
        size = max(1, -(-(death.stop - now.start) // _PARTS))
        edges = [*range(now.start, death.stop, size), death.stop]
    if now.stop is not None:
        edges.append(now.stop)
    parts = [_Range(a, b) for a, b in pairwise(edges) if a < b]
    return parts if now.stop is not None else [*parts, _Range(edges[-1], None)]


def _letter(death: _Death, tries: int) -> BadRecord:
    doing = "coded" if death.reading is None else "read"
    detail = f"{death.detail} while it was {doing}; so in each of {tries} processes that were given this record alone"
    if death.reading is None:
        last = death.last or BadRecord("", "", "")
        return BadRecord(last.place, death.reason, detail, last.key, last.source_bytes)
    if not death.reading.separable:
        place = f"{death.reading.place}: record {death.reading.unit}"
        detail += "; what follows it in this part of the source could not be read either"
        return BadRecord(place, death.reason, detail)
    return BadRecord(death.reading.place, death.reason, detail, source_bytes=death.reading.source_bytes)


def _code(child: Child, plan: Plan, asked: Units) -> Done | _Death:
    """What the process answers, or how it ended."""
    reading: Reading | None = None
    coding: Coding | None = None
    allowed_s = plan.options.record_timeout_s
    reason, detail = CRASHED, ""
    try:
        child.ask(asked)
        while (answer := child.answer(allowed_s)) is not None:
            match answer:
                case Done():
                    return answer
                case OutOfMemory():
                    detail = "the process ran out of memory"
                    break
                case Reading():
                    reading, coding, allowed_s = answer, None, answer.seconds
                case Coding():
                    reading, coding, allowed_s = None, answer, answer.seconds
        else:
            reason, detail = TIMED_OUT, f"the process had not come to an end after {allowed_s:g} s"
    except ChildDied:
        pass
    status = child.end()
    stop = coding.stop if coding else reading.unit + 1 if reading else asked.stop
    return _Death(reason, detail or ended(status), stop, reading, coding.last if coding else None)
