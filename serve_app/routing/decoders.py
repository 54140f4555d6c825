"""Calls of decoder replicas, each version's blobs where that version is in memory; and the cache before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from nbmf import builtin, frame
from nbmf.errors import NbmfError
from nbmf.frame import REFERENCE_BYTES
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from serve_app.observe.metrics import service_metrics
from serve_app.routing.decoded_cache import DecodedCache
from serve_app.routing.replica_calls import call_in_parts
from serve_app.work.results import Failure

Decoded = tuple[int, bytes] | Failure
"""(kind, canonical bytes), or why there is nothing."""

_ANYWHERE = ""


class Decoders:
    """Decodes by `handle`. Blobs of versions that encode now go to any replica, as each has them; those of another
    version go together, to a replica that has it if there is one. Serve knows which do (model multiplexing).
    """

    def __init__(
        self,
        handle: Any,
        encoding: Callable[[], Collection[str]],
        cache_bytes: int = 0,
        max_call_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
    ) -> None:
        self._handle = handle
        self._encoding = encoding
        self._max_call_bytes = max_call_bytes
        self._cache = DecodedCache(cache_bytes) if cache_bytes else None

    async def ready(self) -> None:
        """Returns when a replica answers."""
        await self._handle.ready.remote()

    async def decode(self, blobs: list[bytes], deadline: float) -> list[Decoded]:
        """The record in each blob. Raises RequestFailed, DeadlineExceeded."""
        if self._cache is None:
            return await self._decode(blobs, deadline)
        results: list[Decoded | None] = [self._cache.get(blob) for blob in blobs]
        missing = [index for index, result in enumerate(results) if result is None]
        decoded = await self._decode([blobs[index] for index in missing], deadline)
        for index, result in zip(missing, decoded, strict=True):
            results[index] = result
            if not isinstance(result, Failure):
                self._cache.put(blobs[index], result)
        service_metrics().decoded_cache(len(blobs) - len(missing), len(missing), self._cache.held_bytes)
        return [result for result in results if result is not None]

    async def _decode(self, blobs: list[bytes], deadline: float) -> list[Decoded]:
        of_version: dict[str, list[int]] = {}
        everywhere = {_reference(version) for version in self._encoding()}
        for index, blob in enumerate(blobs):
            named = _named(blob)
            of_version.setdefault(_ANYWHERE if named in everywhere else named, []).append(index)
        results: dict[int, Decoded] = {}

        async def part(version: str, indices: list[int]) -> None:
            handle = self._handle if version == _ANYWHERE else self._handle.options(multiplexed_model_id=version)
            sizes_bytes = [max(len(blobs[i]), declared_bytes(blobs[i])) for i in indices]
            own = [blobs[i] for i in indices]
            decoded = await call_in_parts(
                handle.decode, own, sizes_bytes, self._max_call_bytes, deadline, deadline=deadline
            )
            results.update(zip(indices, decoded, strict=True))

        await asyncio.gather(*(part(version, indices) for version, indices in of_version.items()))
        return [results[index] for index in range(len(blobs))]


def _reference(version: str) -> str:
    """How blobs name a version, in hex; of the built-in one too. `none` is no version, and nothing names it."""
    folder = builtin.default_folder() if version == "builtin" else None
    return (folder.name if folder else version)[: 2 * REFERENCE_BYTES]


def _named(blob: bytes) -> str:
    """The version that a blob names; none for one that needs none or is none, which any replica can say."""
    try:
        return frame.parse(blob).reference.hex() or _ANYWHERE
    except NbmfError:
        return _ANYWHERE


def declared_bytes(blob: bytes) -> int:
    """What a blob says its payload has; 0 for one that is none."""
    try:
        return frame.parse(blob).payload_bytes
    except NbmfError:
        return 0
