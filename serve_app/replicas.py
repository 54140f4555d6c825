"""The deployments that do the work. They take and give bytes: payloads are parsed and written by the ingress.

The coding runs in threads: Serve's throughput mode keeps a replica's own loop on its main thread, and
health checks must be answered while a large record is coded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from functools import partial
from typing import Any, TypeAlias

from ray.serve.handle import DeploymentHandle

from cluster.registry import Registry
from nbmf import golden
from nbmf.codec import Codec, Effort, parse_bounded
from nbmf.engine import Engine, configure
from nbmf.errors import CorruptBlob, NbmfError
from nbmf.frame import Frame
from nbmf.payload import Kind, from_canonical, to_canonical
from serve_app.batching import Batcher, Overloaded
from serve_app.config import BatchConfig, DecoderLimits
from serve_app.deadlines import DeadlineExceeded, check
from serve_app.loaded_versions import LoadedVersions
from serve_app.metrics import service_metrics
from serve_app.results import Failure, attempt_batch, attempt_each, failure_of
from serve_app.rollout.loading import Loader
from serve_app.rollout.store import RolloutStore

Canonical: TypeAlias = tuple[int, bytes]
"""A record's kind and canonical bytes."""


class Encoder:
    """Encodes with one codec version; records of several requests as one batch."""

    def __init__(self, registry: str, version: str, engine: Engine, batch: BatchConfig) -> None:
        self._codec = _warm(registry, version, engine)
        self._batcher: Batcher[Canonical, bytes | Failure] = Batcher(
            self._encode, batch.max_records, batch.max_bytes, batch.concurrency, batch.max_wait_s
        )

    async def encode(
        self, records: list[Canonical], effort: Effort, latency_budget_ms: float, deadline: float = math.inf
    ) -> list[bytes | Failure] | Failure:
        """Blobs of (kind, canonical bytes); with effort auto, within the budget for decoding a record.

        Nothing is coded after the deadline, in seconds since the epoch: the request fails as a whole.
        """
        sizes_bytes = [len(data) for _, data in records]
        try:
            return await self._batcher((effort, latency_budget_ms), records, sizes_bytes, deadline)
        except Overloaded as error:
            return failure_of(error)
        except DeadlineExceeded as error:
            service_metrics().deadline_drop("replica")
            return failure_of(error)

    def _encode(self, how: Hashable, records: list[Canonical]) -> list[bytes | Failure]:
        assert isinstance(how, tuple)  # noqa: S101
        effort, latency_budget_ms = how
        service_metrics().batch("encode", len(records))
        together = partial(self._codec.encode_canonical_batch, effort=effort, latency_budget_ms=latency_budget_ms)
        return attempt_batch(together, [(Kind(kind), data) for kind, data in records])

    def ready(self) -> bool:
        """For the ingress's health page: this replica has its codec."""
        return True


class Decoder:
    """Decodes blobs of any version of the registry; blobs of several requests as one batch.

    `version` is warm from the start, others are loaded when a blob first names them, or, with a rollout's controller,
    when the rollout begins, which it is told.
    """

    def __init__(
        self,
        registry: str,
        version: str,
        engine: Engine,
        batch: BatchConfig,
        limits: DecoderLimits,
        controller: DeploymentHandle[Any] | None = None,
    ) -> None:
        self._registry = Registry(registry)
        self._max_payload_bytes = limits.max_payload_bytes
        self._versions = LoadedVersions(self._registry, limits.max_loaded_versions)
        self._versions.catalog.add(_warm(registry, version, engine))
        self._batcher: Batcher[Frame | Failure, Canonical | Failure] = Batcher(
            self._decode, batch.max_records, batch.max_bytes, batch.concurrency, batch.max_wait_s
        )
        self._following: asyncio.Task[None] | None = None
        if controller is not None:
            loader = Loader(RolloutStore(self._registry), self._load, self._versions.catalog.release)
            self._following = asyncio.get_running_loop().create_task(loader.run(controller))

    async def decode(self, blobs: list[bytes], deadline: float = math.inf) -> list[Canonical | Failure] | Failure:
        """(kind, canonical bytes) of each blob; as in Encoder.encode, nothing after the deadline."""
        try:
            check(deadline)
            parsed = attempt_each(partial(parse_bounded, max_output_bytes=self._max_payload_bytes), blobs)
            parsed = await self._versions.need(parsed)
            sizes_bytes = [0 if isinstance(frame, Failure) else frame.payload_bytes for frame in parsed]
            return await self._batcher(None, parsed, sizes_bytes, deadline)
        except Overloaded as error:
            return failure_of(error)
        except DeadlineExceeded as error:
            service_metrics().deadline_drop("replica")
            return failure_of(error)

    def _decode(self, _how: Hashable, parsed: list[Frame | Failure]) -> list[Canonical | Failure]:
        service_metrics().batch("decode", len(parsed))
        return attempt_each(_readable, attempt_batch(self._decode_frames, parsed))

    def _decode_frames(self, frames: list[Frame]) -> list[Canonical | NbmfError]:
        results = self._versions.catalog.decode_canonical_batch(frames)
        return [
            result if isinstance(result, NbmfError) else (int(parsed.kind), result)
            for parsed, result in zip(frames, results, strict=True)
        ]

    def _load(self, version: str) -> None:
        """Loads a version, which decodes its golden records, and has these go the way of blobs. Raises NbmfError."""
        codec = self._registry.load(version)
        codec.warm_up()
        catalog = self._versions.catalog
        catalog.add(codec)
        records = [to_canonical(payload) for payload in golden.RECORDS]
        blobs = codec.encode_canonical_batch(records)
        frames = [parse_bounded(blob, self._max_payload_bytes) for blob in blobs]
        for (kind, canonical), result in zip(records, catalog.decode_canonical_batch(frames), strict=True):
            if isinstance(result, NbmfError):
                raise result
            if result != canonical:
                raise CorruptBlob(f"a record of {kind.label} was not decoded as it was encoded")

    def ready(self) -> bool:
        """For the ingress's health page."""
        return True


def _warm(registry: str, version: str, engine: Engine) -> Codec:
    """The version, loaded and compiled, so that the replica's first request is as quick as others."""
    configure(engine.name, engine.threads)
    codec = Registry(registry).load(version)
    codec.warm_up()
    return codec


def _readable(decoded: Canonical) -> Canonical:
    """A forged blob can have a true checksum over bytes that are no JSON; the ingress passes JSON on as it is."""
    kind, canonical = decoded
    from_canonical(Kind(kind), canonical)
    return decoded
