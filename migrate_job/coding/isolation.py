"""A shard that killed its worker, coded once more so that the records which do it are found, and the others migrated.

Its records are read and coded in a process of its own, batch by batch. When that dies or hangs, the batch is cut
into ever smaller ones until the record is alone. It is a dead letter when it brings down the process alone, too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.connection import Connection
from types import TracebackType

from cluster.sources import BadRecord
from migrate_job.coding.coder_process import (
    Coding,
    Done,
    Failed,
    OutOfMemory,
    Reading,
    Ready,
    Units,
    Work,
)
from migrate_job.coding.records import BATCH_RECORDS, Row
from migrate_job.errors import WorkerDied
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import CLASS, Selection

CRASHED = "crashed_worker"
TIMED_OUT = "timed_out"

_PARTS = 16
"""Into how many a batch is cut: fewer would mean more deaths, and of a record that hangs each takes its time."""

_ALONE_TRIES = 2
_START_TIMEOUT_S = 600
"""To load a version, on a machine where its code has to be compiled."""


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


def isolated_records(plan: Plan, index: int, selection: Selection) -> Iterator[Row | BadRecord]:
    """As `migrate_records` over the shard's records. Raises WorkerDied if it is not the records that kill."""
    todo = [_Range(0, None)]  # the next one is the last
    with _Coder(plan, index) as coder:
        while todo:
            now = todo.pop()
            stop = now.start + BATCH_RECORDS if now.stop is None else now.stop
            answer = coder.code(Units(now.start, stop))
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


class _Coder:
    """The process, started when there is something for it to do, and again when it died."""

    def __init__(self, plan: Plan, index: int) -> None:
        self._plan = plan
        self._work = Work(replace(plan, shards={index: plan.shards[index]}), index)
        self._process: subprocess.Popen[bytes] | None = None
        self._child: Connection | None = None

    def __enter__(self) -> _Coder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def code(self, asked: Units) -> Done | _Death:
        child = self._child or self._start()
        reading: Reading | None = None
        coding: Coding | None = None
        allowed_s = self._plan.record_timeout_s
        reason, detail = CRASHED, ""
        try:
            child.send(asked)
            while child.poll(allowed_s):
                match answer := child.recv():
                    case Done():
                        return answer
                    case Failed():
                        raise answer.error
                    case OutOfMemory():
                        detail = "the process ran out of memory"
                        break
                    case Reading():
                        reading, coding, allowed_s = answer, None, answer.seconds
                    case Coding():
                        reading, coding, allowed_s = None, answer, answer.seconds
            else:
                reason, detail = TIMED_OUT, f"the process had not come to an end after {allowed_s:g} s"
        except (EOFError, ConnectionError):
            pass
        status = self._end()
        stop = coding.stop if coding else reading.unit + 1 if reading else asked.stop
        return _Death(reason, detail or _ended(status), stop, reading, coding.last if coding else None)

    def _start(self) -> Connection:
        """Raises WorkerDied."""
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            command = [sys.executable, "-m", "migrate_job.coding.coder_process", str(fd)]
            self._process = subprocess.Popen(command, pass_fds=[fd], env=environment, start_new_session=True)  # noqa: S603 - ours
        self._child = child = Connection(ours.detach())
        try:
            child.send_bytes(_pickled(self._work))
            answer = child.recv() if child.poll(_START_TIMEOUT_S) else None
        except (EOFError, ConnectionError):
            answer = None
        if isinstance(answer, Failed):
            raise answer.error
        if not isinstance(answer, Ready):
            raise WorkerDied(f"a process to code records in did not start: {_ended(self._end())}")
        return child

    def _end(self) -> int:
        """Ends the process, if there is one, and tells its exit status."""
        if self._process is None:
            return 0
        if self._child is not None:
            self._child.close()
        # It ends by itself when it is dying or finds its socket closed; but it may hang, or have forked.
        try:
            status = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            status = self._process.wait()
        self._process = self._child = None
        return status


def _pickled(work: Work) -> bytes:
    """By cloudpickle: sources of a user's own may be of a script."""
    from ray import cloudpickle

    data: bytes = cloudpickle.dumps(work)  # type: ignore[no-untyped-call]
    return data


def _ended(status: int) -> str:
    if status >= 0:
        return f"the process ended with exit code {status}"
    try:
        return f"the process was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"the process was killed by signal {-status}"
