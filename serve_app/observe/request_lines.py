"""The log of requests: one line of JSON for each.

A line has names and sizes, never contents: no payload, no header, no query, and of paths only those of routes.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from serve_app.observe.calls import Call

_log = logging.getLogger("nbmf.requests")


def write_to_stderr() -> None:
    """Lines go to this process's standard error, which Ray keeps among its session's logs."""
    if not _log.handlers:
        # Not sys.stderr: in a replica Serve puts its own logger there, which drops these lines.
        _log.addHandler(logging.StreamHandler(sys.__stderr__))
        _log.setLevel(logging.INFO)
        _log.propagate = False


def write(call: Call, method: str, route: str | None, duration_s: float) -> None:
    """A request's line."""
    _log.info(
        json.dumps(
            {
                "time": datetime.fromtimestamp(call.arrived, UTC).isoformat(timespec="milliseconds"),
                "request_id": call.request_id,
                "method": method,
                "route": route,
                "status": call.status,
                "code": call.code,
                "api_key": call.api_key,
                "records": call.records,
                "bytes_in": call.bytes_in,
                "bytes_out": call.bytes_out,
                "duration_ms": round(duration_s * 1000, 2),
            }
        )
    )
