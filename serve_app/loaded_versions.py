"""Versions in a decoder replica's memory: loaded beside the batches, so that blobs of others need not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cluster.registry import Registry
from nbmf.errors import NbmfError, UnknownCodec
from nbmf.frame import Frame
from serve_app.metrics import service_metrics
from serve_app.results import Failure, failure_of, log_fault


class LoadedVersions:
    """The versions used last, `max_loaded` of them besides those added to `catalog`.

    Inside Serve it tells which ones it has, so that blobs go to a replica that has their version (model multiplexing).
    """

    def __init__(self, registry: Registry, max_loaded: int) -> None:
        self.catalog = registry.catalog(max_loaded)
        self._tell = _teller(max_loaded)
        self._loading = asyncio.Lock()

    async def need(self, parsed: Sequence[Frame | Failure]) -> list[Frame | Failure]:
        """The frames, once their versions are loaded; a failure in place of one whose version is not to be had."""
        references = {frame.reference for frame in parsed if not isinstance(frame, Failure)} - {b""}
        failures = {reference: await self._load(reference) for reference in references}
        return [frame if isinstance(frame, Failure) else failures.get(frame.reference) or frame for frame in parsed]

    async def _load(self, reference: bytes) -> Failure | None:
        if not self._has(reference):
            async with self._loading:  # one at a time: each takes a core, and memory before others are dropped
                if not self._has(reference):
                    failure = await asyncio.to_thread(self._find, reference)
                    if failure is not None:
                        return failure
        await self._tell(reference.hex())
        return None

    def _has(self, reference: bytes) -> bool:
        return any(version_id.startswith(reference.hex()) for version_id in self.catalog.loaded_ids)

    def _find(self, reference: bytes) -> Failure | None:
        try:
            codec = next(self.catalog.candidates(reference), None)
            if codec is None:
                raise UnknownCodec(reference.hex(), self.catalog.places())
            codec.warm_up()
        except NbmfError as error:
            return failure_of(error)
        except OSError as error:
            log_fault("the registry cannot be read", error)
            return Failure("registry_error", f"codec version {reference.hex()} cannot be read now; try again later")
        service_metrics().version_loaded(len(self.catalog.loaded_ids))
        return None


def _teller(max_loaded: int) -> Callable[[str], Awaitable[None]]:
    """Serve's multiplexing with nothing to load: it has the replica's name beside those that were asked for last."""
    from ray import serve
    from ray.serve.exceptions import RayServeException

    async def nothing(_reference: str) -> None:
        pass

    try:
        serve.get_replica_context()
    except RayServeException:
        return nothing
    tell: Callable[[str], Awaitable[None]] = serve.multiplexed(max_num_models_per_replica=max_loaded)(nothing)
    return tell
