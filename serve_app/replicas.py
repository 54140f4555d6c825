"""The deployments that do the work. They take and give bytes: payloads are parsed and written by the ingress.

The coding runs in threads: Serve's throughput mode keeps a replica's own loop on its main thread, and
health checks must be answered while a large record is coded.
"""

from __future__ import annotations

import asyncio

from cluster.registry import Registry
from nbmf.codec import parse_bounded
from nbmf.payload import Kind, from_canonical
from serve_app.results import Failure, attempt_each


class Encoder:
    """Encodes with one codec version."""

    def __init__(self, registry: str, version: str) -> None:
        self._codec = Registry(registry).load(version)

    async def encode(self, records: list[tuple[int, bytes]]) -> list[bytes | Failure]:
        """Blobs of (kind, canonical bytes)."""
        return await asyncio.to_thread(attempt_each, self._encode, records)

    def _encode(self, record: tuple[int, bytes]) -> bytes:
        kind, canonical = record
        return self._codec.encode_canonical(Kind(kind), canonical)

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
