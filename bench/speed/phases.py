"""Phases: what a token of the network's coder needs, part by part, with code for this processor and an older."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.exact.comparison import last_line, older
from bench.machine import facts
from bench.speed.phases_worker import AT_ONCE, Job
from bench.speed.start import RECORD, ProcessFailed
from bench.speed.tables import significant
from nbmf import Codec
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import to_canonical

NATIVE = "native"
_RECORD_REPEATS = 12
"""Of a conversation of three turns: long enough to fill the network's window."""


def modes() -> list[str]:
    """Processors that code is measured for: this one, and the next older kind that is not plain C."""
    return [NATIVE, *[name for name in older() if name != "plain"][:1]]


def run(folder: Path, chosen: list[str], on_process: Callable[[], None]) -> dict[str, Any]:
    """The report: {"modes": {name: phases_worker.run}, ...}. Raises ProcessFailed.

    `on_process` is called after each mode.
    """
    kind, record = to_canonical(RECORD * _RECORD_REPEATS)
    job = Job(folder, record, TYPE_OF_KIND[kind])
    found = {}
    for mode in chosen:
        found[mode] = _measure(job, {"NBMF_CPU": mode} if mode != NATIVE else {})
        on_process()
    codec = Codec.load(folder)
    return {"machine": facts(), "codec": codec.id, "records": 1, "payload_bytes": len(record), "modes": found}


def tables(report: dict[str, Any]) -> Iterator[Table]:
    """One for each processor: a line for each part, alone and with others at once."""
    for mode, found in report["modes"].items():
        table = Table(title=f"µs a token on one core: {mode}, {found['processor']}")
        table.add_column("part")
        for count in AT_ONCE:
            table.add_column("one by one" if count == 1 else f"{count} at once", justify="right")
        for name in found["phases"]:
            table.add_row(
                name,
                *[significant(found["phases"][name][str(count)]) for count in AT_ONCE],
                end_section=name == [*found["phases"]][-2],
            )
        table.add_row("static counts, adaptation, coder", *[significant(found["coding"])] * len(AT_ONCE))
        table.add_row("a record: decode, encode", significant(found["decode"]), significant(found["encode"]))
        yield table


def _measure(job: Job, variables: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-P", "-c", "from bench.speed.phases_worker import main; main()"]
    environment = os.environ | {"NBMF_THREADS": "1", **variables}
    ended = subprocess.run(command, env=environment, input=pickle.dumps(job), capture_output=True)  # noqa: S603
    if ended.returncode != 0:
        problem = last_line(ended.stderr.decode(errors="replace"))
        raise ProcessFailed(f"the process that measures ended with exit code {ended.returncode}: {problem}")
    result: dict[str, Any] = json.loads(ended.stdout)
    return result
