"""A process that codes shards for its parent, which outlives it: whole ones, or of one that killed it a few records.

Run as `python -m migrate_job.coding.coder_process FD`, FD being its end of a socket: see `child`.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from cluster.sources import BadRecord, Item, Shard
from migrate_job.coding.messages import Coding, Done, Failed, OutOfMemory, Reading, Ready, Units, Whole
from migrate_job.coding.records import migrate_records
from migrate_job.coding.shard import migrate_shard
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import CLASS, Selection
from nbmf import Codec
from nbmf.batches import BATCH_BYTES

_PR_SET_PDEATHSIG = 1


def main(parent: Connection) -> None:
    """Answers requests until the parent closes its end."""
    try:
        plan: Plan = parent.recv()
        codec = _load(plan)
        parent.send(Ready())
        units: _Shard | None = None
        while True:
            asked: Whole | Units = parent.recv()
            if isinstance(asked, Whole):
                parent.send(migrate_shard(replace(plan, shards={asked.index: asked.shard}), asked.index))
                continue
            if units is None or units.index != asked.index:
                units = _Shard(plan, asked, codec, parent)
            parent.send(units.code(asked))
    except EOFError:
        return
    except MemoryError:
        parent.send(OutOfMemory())
    except Exception as error:
        with suppress(OSError, pickle.PicklingError, TypeError, AttributeError):
            parent.send(Failed(error))


def _load(plan: Plan) -> Codec:
    from migrate_job.coding.codec import load_codec
    from nbmf.engine import configure

    configure(plan.options.engine.name, plan.options.engine.threads)
    return load_codec(plan.registry, plan.version)


class _Shard:
    def __init__(self, plan: Plan, asked: Units, codec: Codec, parent: Connection) -> None:
        self._plan, self._codec, self._parent = plan, codec, parent
        self.index, self._shard = asked.index, asked.shard
        split = getattr(plan.source, "split", None)
        self._pieces: list[tuple[str, Shard]] | None = list(split(self._shard)) if split else None

    def code(self, asked: Units) -> Done:
        items: list[Item] = []
        held_bytes, at, exhausted = 0, asked.start, True
        for unit in self._read(asked):
            items += unit
            at += 1
            held_bytes += sum(item.source_bytes for item in unit)
            if at >= asked.stop or held_bytes > BATCH_BYTES:
                exhausted = False
                break
        selection = Selection(self._plan.options.classes, None)
        wanted = list(selection.of(items))

        def allow(seconds: float) -> None:
            self._parent.send(Coding(at, _named(wanted[-1]) if wanted else None, seconds))

        outcomes = list(migrate_records(wanted, self._codec, self._plan, allow))
        return Done(at, outcomes, selection.skipped[CLASS], exhausted)

    def _read(self, asked: Units) -> Iterator[list[Item]]:
        """The items of each unit."""
        seconds = self._plan.options.record_timeout_s
        if self._pieces is not None:
            for unit in range(asked.start, len(self._pieces)):
                place, piece = self._pieces[unit]
                self._parent.send(Reading(unit, True, place, piece.size_bytes, seconds))
                yield list(self._plan.source.read(piece))
            return
        records = iter(self._plan.source.read(self._shard))
        for unit in range(asked.stop):
            self._parent.send(Reading(unit, False, self._shard.path, 0, seconds))
            one = list(islice(records, 1))
            if not one:
                return
            if unit >= asked.start:
                yield one


def _named(item: Item) -> BadRecord:
    """Which record it is, without its payload."""
    return BadRecord(item.place, "", "", item.key, item.source_bytes)


def _prepare() -> None:
    """The parent's death ends this process, and a lack of memory hits this process first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    half = memory_bytes // 2 if hard == resource.RLIM_INFINITY else min(memory_bytes // 2, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (half, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    _prepare()
    from migrate_job.coding import coder_process  # classes of messages are its, not those of __main__

    with Connection(int(sys.argv[1])) as _parent:
        coder_process.main(_parent)
