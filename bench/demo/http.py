"""Records through a running service, one request each, timed and compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nbmf.client import Client
from nbmf.payload import Payload, to_canonical

_WARM_UP = 20


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
    with Client(url) as client:
        for record in records[:_WARM_UP]:
            client.decode(client.encode(record))
        for record in records:
            start = time.perf_counter()
            blob = client.encode(record)
            middle = time.perf_counter()
            decoded = client.decode(blob)
            end = time.perf_counter()
            canonical = to_canonical(record)
            result.encode_s.append(middle - start)
            result.decode_s.append(end - middle)
            result.raw_bytes.append(len(canonical[1]))
            result.blob_bytes.append(len(blob))
            result.unequal += to_canonical(decoded) != canonical
            on_record()
    return result


def percentiles_ms(seconds: list[float]) -> tuple[float, float]:
    """(p50, p95) in milliseconds."""
    p50, p95 = np.percentile(np.asarray(seconds) * 1e3, [50, 95])
    return float(p50), float(p95)
