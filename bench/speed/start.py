"""Start: how long a fresh Python process takes until it has encoded, or decoded, its first record."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.exact.comparison import NoNetwork, last_line, version_folder
from bench.machine import facts
from bench.records import NotEqual
from cluster.registry import Registry
from nbmf import Codec, inspect
from nbmf.effort import Effort
from nbmf.errors import NbmfError
from nbmf.payload import to_canonical

REPEATS = 5
"""Processes, of which the median is taken."""

RECORD = [
    {"role": "user", "content": "Please move the appointment with Dr. Meyer from Tuesday to Thursday, same time."},
    {"role": "assistant", "content": "Done: Thursday at 10:30. Shall I tell Anna, who wanted to come along?"},
    {"role": "user", "content": "Yes, and remind me on Wednesday evening to bring the insurance card."},
]

PHASES = ("python", "import", "load", "first", "second", "ready")
"""Until Python runs, `import nbmf`, loading the version, first call, second call; and from the start of the process to
the end of the first call."""


class ProcessFailed(NbmfError):
    """A process that was to be measured did not end well."""

    code = "process_failed"


def steps(efforts: tuple[Effort, ...]) -> int:
    """How many processes are measured."""
    return 2 * len(efforts) * REPEATS


def folder_of(registry: Registry, version: str) -> Path | None:
    """The folder that a process loads the version from; None for a codec without learned parts."""
    try:
        return version_folder(registry, version)
    except NoNetwork:
        return None


def run(folder: Path | None, efforts: tuple[Effort, ...], on_process: Callable[[], None]) -> dict[str, Any]:
    """The report: {"rows": one for each effort and operation, ...}.

    `on_process` is called after each process. Raises ProcessFailed, NotEqual.
    """
    codec = Codec.load(folder) if folder else Codec()
    rows = []
    for effort in efforts:
        blob = codec.encode(RECORD, effort=effort)
        for operation in ("encode", "decode"):
            job = {
                "version": str(folder) if folder else None,
                "operation": operation,
                "effort": effort,
                "record": RECORD,
                "blob": blob.hex(),
            }
            found = []
            for _ in range(REPEATS):
                found.append(_measure(job))
                on_process()
            rows.append(
                {
                    "effort": effort,
                    "operation": operation,
                    "processes": REPEATS,
                    "coder": inspect(blob).coder,
                    "ms": {phase: round(median(one["ms"][phase] for one in found), 3) for phase in PHASES},
                    "peak_mb": round(median(one["peak_mb"] for one in found), 1),
                }
            )
    return {
        "machine": facts(),
        "codec": codec.id,
        "efforts": list(efforts),
        "records": 1,
        "payload_bytes": len(to_canonical(RECORD)[1]),
        "rows": rows,
    }


def _measure(job: dict[str, Any]) -> dict[str, Any]:
    """The phases of a process, and its peak memory."""
    # -P: modules of the folder that the command is run in are none of ours.
    command = [sys.executable, "-P", "-c", "from bench.speed.start_worker import main; main()"]
    given = json.dumps(job | {"started": time.monotonic()})
    ended = subprocess.run(command, input=given, capture_output=True, text=True)  # noqa: S603
    if ended.returncode != 0:
        raise ProcessFailed(
            f"a process that was to {job['operation']} ended with exit code {ended.returncode}: "
            f"{last_line(ended.stderr)}"
        )
    result: dict[str, Any] = json.loads(ended.stdout)
    if not result["equal"]:
        raise NotEqual(f"a fresh process, effort {job['effort']}: {job['operation']} gave something else than this one")
    return result
