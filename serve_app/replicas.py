"""The deployments that do the work. They take and give bytes: payloads are parsed and written by the ingress.

The coding runs in threads: Serve's throughput mode keeps a replica's own loop on its main thread, and
health checks must be answered while a large record is coded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from cluster.registry import Registry
from nbmf.codec import Codec, Effort, parse_bounded
from nbmf.engine import Engine, configure
from nbmf.errors import NbmfError
from nbmf.frame import Frame
from nbmf.payload import Kind, from_canonical
from serve_app.deadlines import DeadlineExceeded, check
from serve_app.results import Failure, attempt_batch, attempt_each

T = TypeVar("T")


class Encoder:
    """Encodes with one codec version, a request's records as one batch."""

    def __init__(self, registry: str, version: str, engine: Engine) -> None:
        self._codec = _warm(registry, version, engine)

    async def encode(
        self,
        records: list[tuple[int, bytes]],
        effort: Effort,
        latency_budget_ms: float,
        deadline: float = math.inf,
    ) -> list[bytes | Failure] | Failure:
        """Blobs of (kind, canonical bytes); with effort auto, within the budget for decoding a record.

        Nothing is coded after the deadline, in seconds since the epoch: the request fails as a whole.
        """
        together = partial(self._encode, effort, latency_budget_ms)
        return await asyncio.to_thread(_before, deadline, partial(attempt_batch, together), records)

    def _encode(self, effort: Effort, latency_budget_ms: float, records: list[tuple[int, bytes]]) -> list[bytes]:
        canonical = [(Kind(kind), data) for kind, data in records]
        return self._codec.encode_canonical_batch(canonical, effort=effort, latency_budget_ms=latency_budget_ms)

    def ready(self) -> bool:
        """For the ingress's health page: this replica has its codec."""
        return True


class Decoder:
    """Decodes blobs of any version of the registry, a request's blobs as one batch.

    `version` is warm from the start, others are loaded when a blob first names them.
    """

    def __init__(self, registry: str, version: str, engine: Engine, max_payload_bytes: int) -> None:
        self._catalog = Registry(registry).catalog()
        self._catalog.add(_warm(registry, version, engine))
        self._max_payload_bytes = max_payload_bytes

    async def decode(
        self, blobs: list[bytes], deadline: float = math.inf
    ) -> list[tuple[int, bytes] | Failure] | Failure:
        """(kind, canonical bytes) of each blob; as in Encoder.encode, nothing after the deadline."""
        return await asyncio.to_thread(_before, deadline, self._decode, blobs)

    def _decode(self, blobs: list[bytes]) -> list[tuple[int, bytes] | Failure]:
        parsed = attempt_each(partial(parse_bounded, max_output_bytes=self._max_payload_bytes), blobs)
        return attempt_each(_readable, attempt_batch(self._decode_frames, parsed))

    def _decode_frames(self, frames: list[Frame]) -> list[tuple[int, bytes] | NbmfError]:
        results = self._catalog.decode_canonical_batch(frames)
        return [
            result if isinstance(result, NbmfError) else (int(parsed.kind), result)
            for parsed, result in zip(frames, results, strict=True)
        ]

    def ready(self) -> bool:
        """For the ingress's health page."""
        return True


def _before(deadline: float, work: Callable[[list[Any]], T], items: list[Any]) -> T | Failure:
    """The work, unless it is too late. Called by the thread that does it: calls may wait for a thread."""
    try:
        check(deadline)
    except DeadlineExceeded as error:
        return Failure(error.code, str(error))
    return work(items)


def _warm(registry: str, version: str, engine: Engine) -> Codec:
    """The version, loaded and compiled, so that the replica's first request is as quick as others."""
    configure(engine.name, engine.threads)
    codec = Registry(registry).load(version)
    codec.warm_up()
    return codec


def _readable(decoded: tuple[int, bytes]) -> tuple[int, bytes]:
    """A forged blob can have a true checksum over bytes that are no JSON; the ingress passes JSON on as it is."""
    kind, canonical = decoded
    from_canonical(Kind(kind), canonical)
    return decoded
