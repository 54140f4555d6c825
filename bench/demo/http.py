"""Records through a running service, one request each, timed and compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import numpy as np

from nbmf.wire import from_wire, to_wire
from nbmf import json_text
from nbmf.payload import Payload, to_canonical

_TIMEOUT_S = 30
_WARM_UP = 20
_JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class HttpResult:
    """Sizes in bytes and times in seconds, one of each a record."""

    raw_bytes: list[int] = field(default_factory=list)
    blob_bytes: list[int] = field(default_factory=list)
    encode_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)
    unequal: int = 0


def round_trips(url: str, records: list[Payload], on_record: Callable[[], None]) -> HttpResult:
    """Encodes and decodes each record over one connection; the first few are repeated untimed, to warm up."""
    result = HttpResult()
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S) as client:
        for record in records[:_WARM_UP]:
            _round_trip(client, record)
        for record in records:
            encode_s, decode_s, fields, decoded = _round_trip(client, record)
            result.encode_s.append(encode_s)
            result.decode_s.append(decode_s)
            result.raw_bytes.append(fields["payload_bytes"])
            result.blob_bytes.append(fields["blob_bytes"])
            result.unequal += to_canonical(decoded) != to_canonical(record)
            on_record()
    return result


def _round_trip(client: httpx.Client, record: Payload) -> tuple[float, float, dict[str, int], Payload]:
    body = json_text.dumps(to_wire(record)).encode("utf-8", "backslashreplace")
    start = time.perf_counter()
    encoded = client.post("/v1/encode", content=body, headers=_JSON)
    middle = time.perf_counter()
    encoded.raise_for_status()
    fields = encoded.json()
    body = json_text.dumps({"blob": fields["blob"]}).encode()
    again = time.perf_counter()
    decoded = client.post("/v1/decode", content=body, headers=_JSON)
    end = time.perf_counter()
    decoded.raise_for_status()
    wire = json_text.loads(decoded.text)
    wire.pop("kind")
    return middle - start, end - again, fields, from_wire(wire)


def percentiles_ms(seconds: list[float]) -> tuple[float, float]:
    """(p50, p95) in milliseconds."""
    p50, p95 = np.percentile(np.asarray(seconds) * 1e3, [50, 95])
    return float(p50), float(p95)
