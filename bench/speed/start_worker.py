"""A fresh process of `nbmf bench start`: what its first call waits for, phase by phase.

Reads a JSON object from standard input, writes one to standard output. Nothing of nbmf is loaded above `main`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def _peak_mb() -> float:
    """Most memory that this process has held. Linux's getrusage would count the parent's too, until this one ran."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    """The process. All times in milliseconds; the clock is the system's, so the parent's start counts."""
    running = time.monotonic()
    job = json.load(sys.stdin)
    begin = time.monotonic()
    from nbmf import Codec

    imported = time.monotonic()
    codec = Codec.load(job["version"]) if job["version"] else Codec()
    loaded = time.monotonic()
    blob = bytes.fromhex(job["blob"])

    def call() -> bool:
        if job["operation"] == "encode":
            return codec.encode(job["record"], effort=job["effort"]) == blob
        return bool(codec.decode(blob) == job["record"])

    equal = call()
    first = time.monotonic()
    equal &= call()
    second = time.monotonic()
    times = {
        "python": running - job["started"],
        "import": imported - begin,
        "load": loaded - imported,
        "first": first - loaded,
        "second": second - first,
        "ready": first - job["started"],
    }
    print(
        json.dumps(
            {"equal": equal, "peak_mb": _peak_mb(), "ms": {name: seconds * 1e3 for name, seconds in times.items()}}
        )
    )
