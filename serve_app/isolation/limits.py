"""How long a batch may take before what codes it is taken for hung, and how much goes through a pipe at once."""

from __future__ import annotations

DEFAULT_TIMEOUT_S = 30.0
LOADING_S = 60.0
"""For a version that is loaded and tried, which takes a second or two."""
MAX_BLOBS = 1 << 16
MAX_BLOB_BYTES = (1 << 32) - 1

_SLOWEST_BYTES_PER_S = 30_000
"""Half of what the slowest coder decodes on a core that is shared."""


def limit_s(timeout_s: float, payload_bytes: int) -> float:
    """For a batch of so many canonical bytes."""
    return timeout_s + payload_bytes / _SLOWEST_BYTES_PER_S
