"""A fresh process of `nbmf bench start`: what its first call waits for, phase by phase.

Reads a JSON object from standard input, writes one to standard output. Nothing of nbmf is loaded above `main`.
"""

from __future__ import annotations

import json
import sys
import time

from bench.peak_memory import peak_bytes


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
            {
                "equal": equal,
                "peak_mb": peak_bytes() / 1e6,
                "ms": {name: seconds * 1e3 for name, seconds in times.items()},
            }
        )
    )
