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

from ray.serve.handle import DeploymentHandle

from cluster.registry import Registry
from nbmf.codec import Codec, Effort, parse_bounded
from nbmf.engine import Engine, configure
from nbmf.errors import CorruptBlob, NbmfError
from nbmf.frame import Frame
from nbmf.payload import Kind, from_canonical, to_canonical
from serve_app.deadlines import DeadlineExceeded, check
from serve_app.results import Failure, attempt_batch, attempt_each
from serve_app.rollout.loading import Loader
from serve_app.rollout.store import RolloutStore

T = TypeVar("T")

_PROBE = [{"role": "user", "content": "Remember to call Anna on Friday about the invoice."}]


class Encoder:
    """Encodes with one codec version, or with those of a rollout, a request's records as one batch.

    With a rollout's controller, its versions are loaded when they appear in the registry, and the controller told.
    """

    def __init__(
        self, registry: str, version: str, engine: Engine, controller: DeploymentHandle[Any] | None = None
    ) -> None:
        self._registry = Registry(registry)
        self._version = version
        self._codecs = {version: _warm(registry, version, engine)}
        self._following = _follow_rollouts("Encoder", self._registry, self._load, controller)

    async def encode(
        self,
        records: list[tuple[int, bytes]],
        effort: Effort,
        latency_budget_ms: float,
        deadline: float = math.inf,
        version: str | None = None,
    ) -> list[bytes | Failure] | Failure:
        """Blobs of (kind, canonical bytes); with effort auto, within the budget for decoding a record.

        Nothing is coded after the deadline, in seconds since the epoch: the request fails as a whole.
        `version` is a rollout's, in place of the replica's.
        """
        together = partial(self._encode, version or self._version, effort, latency_budget_ms)
        return await asyncio.to_thread(_before, deadline, partial(attempt_batch, together), records)

    def _encode(
        self, version: str, effort: Effort, latency_budget_ms: float, records: list[tuple[int, bytes]]
    ) -> list[bytes]:
        canonical = [(Kind(kind), data) for kind, data in records]
        if version not in self._codecs:
            self._load(version)
        codec = self._codecs[version]
        return codec.encode_canonical_batch(canonical, effort=effort, latency_budget_ms=latency_budget_ms)

    def _load(self, version: str) -> None:
        if version not in self._codecs:
            codec = self._registry.load(version)
            codec.warm_up()
            self._codecs[version] = codec

    def ready(self) -> bool:
        """For the ingress's health page: this replica has its codec."""
        return True


class Decoder:
    """Decodes blobs of any version of the registry, a request's blobs as one batch.

    `version` is warm from the start, others are loaded when a blob first names them.
    """

    def __init__(
        self,
        registry: str,
        version: str,
        engine: Engine,
        max_payload_bytes: int,
        controller: DeploymentHandle[Any] | None = None,
    ) -> None:
        self._registry = Registry(registry)
        self._catalog = self._registry.catalog()
        self._catalog.add(_warm(registry, version, engine))
        self._max_payload_bytes = max_payload_bytes
        self._following = _follow_rollouts("Decoder", self._registry, self._load, controller)

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

    def _load(self, version: str) -> None:
        """Loads a version and decodes a probe of it. Raises NbmfError."""
        codec = self._registry.load(version)
        codec.warm_up()
        self._catalog.add(codec)
        kind, data = to_canonical(_PROBE)
        (result,) = self._catalog.decode_canonical_batch(
            [parse_bounded(codec.encode(_PROBE), max_output_bytes=len(data))]
        )
        if isinstance(result, NbmfError):
            raise result
        if result != data:
            raise CorruptBlob(f"a probe of {kind.label} was not decoded as it was encoded")

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


def _follow_rollouts(
    role: str, registry: Registry, load: Callable[[str], None], controller: DeploymentHandle[Any] | None
) -> asyncio.Task[None] | None:
    """The task that loads versions of rollouts; none without a controller, as in a service of a fixed version."""
    if controller is None:
        return None
    loader = Loader(RolloutStore(registry), load)
    return asyncio.get_running_loop().create_task(loader.run(role, controller))


def _readable(decoded: tuple[int, bytes]) -> tuple[int, bytes]:
    """A forged blob can have a true checksum over bytes that are no JSON; the ingress passes JSON on as it is."""
    kind, canonical = decoded
    from_canonical(Kind(kind), canonical)
    return decoded
