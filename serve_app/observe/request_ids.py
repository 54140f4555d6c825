"""Request ids: a client's own if it is well-formed, else a new one."""

from __future__ import annotations

import re
import uuid

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id(received: str | None) -> str:
    """The received id, or a new one if there is none or if it could harm a log: too long, or of other characters."""
    return received if received is not None and _WELL_FORMED.fullmatch(received) else uuid.uuid4().hex
