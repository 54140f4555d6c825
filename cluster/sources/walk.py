"""What of a source is not read, and why."""

from __future__ import annotations

from typing import NamedTuple


class NotRead(NamedTuple):
    """A part of a source that is not read: where, a machine-readable reason, and the reason in words."""

    place: str
    reason: str
    detail: str
