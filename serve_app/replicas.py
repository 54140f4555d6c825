"""The deployments that do the work. They take and give bytes: payloads are parsed and written by the ingress.

The coding runs in threads: Serve's throughput mode keeps a replica's own loop on its main thread, and
health checks must be answered while a large record is coded.
"""

from __future__ import annotations

import asyncio
from functools import partial

from cluster.registry import Registry
from nbmf.codec import parse_bounded
from nbmf.payload import Kind, from_canonical
from serve_app.results import Failure, attempt_each


class Encoder:
    """Encodes with one codec version, within a latency budget unless a request has its own; None is no limit."""

    def __init__(self, registry: str, version: str, latency_budget_ms: float | None) -> None:
        self._codec = Registry(registry).load(version)
        self._latency_budget_ms = latency_budget_ms

    async def encode(
        self, records: list[tuple[int, bytes]], latency_budget_ms: float | None = None
    ) -> list[bytes | Failure]:
        """Blobs of (kind, canonical bytes), within the budget for decoding a record."""
        budget = self._latency_budget_ms if latency_budget_ms is None else latency_budget_ms
        return await asyncio.to_thread(attempt_each, partial(self._encode, budget), records)

    def _encode(self, latency_budget_ms: float | None, record: tuple[int, bytes]) -> bytes:
        kind, canonical = record
        if latency_budget_ms is None:
            return self._codec.encode_canonical(Kind(kind), canonical, effort="max")
        return self._codec.encode_canonical(Kind(kind), canonical, latency_budget_ms=latency_budget_ms)

    def ready(self) -> bool:
        """For the ingress's health page: this replica has its codec."""
        return True


class Decoder:
    """Decodes blobs of any version of the registry, each loaded when a blob first names it."""

    def __init__(self, registry: str, max_payload_bytes: int) -> None:
        self._catalog = Registry(registry).catalog()
        self._max_payload_bytes = max_payload_bytes

    async def decode(self, blobs: list[bytes]) -> list[tuple[int, bytes] | Failure]:
        """(kind, canonical bytes) of each blob."""
        return await asyncio.to_thread(attempt_each, self._decode, blobs)

    def _decode(self, blob: bytes) -> tuple[int, bytes]:
        parsed = parse_bounded(blob, self._max_payload_bytes)
        canonical = self._catalog.decode_canonical(parsed)
        # A forged blob can have a true checksum over bytes that are no JSON; the ingress passes JSON on as it is.
        from_canonical(parsed.kind, canonical)
        return int(parsed.kind), canonical

    def ready(self) -> bool:
        """For the ingress's health page."""
        return True
