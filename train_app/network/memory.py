"""The most memory that a training worker took."""

from __future__ import annotations

import resource
import sys

import torch

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of what the system tells, in bytes."""


def peak_memory(device: torch.device) -> dict[str, int]:
    """{peak_memory_mib: resident, of this process; gpu_peak_memory_mib: allocated on its GPU, if it has one}."""
    found = {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT >> 20}
    if device.type == "cuda":
        found["gpu_peak_memory_mib"] = torch.cuda.max_memory_allocated(device) >> 20
    return found
