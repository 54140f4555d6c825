"""Where a decoder replica decodes the blobs of each version: in its own process, or in one that the version has alone.

In its own: built-in versions, and those that the service encodes with. Whatever else the registry has is data from
elsewhere, and isolated. Versions are loaded beside the batches, so that blobs of others need not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from cluster.registry import Registry
from nbmf.catalog import Catalog
from nbmf.errors import NbmfError, UnknownCodec
from serve_app.observe.metrics import service_metrics
from serve_app.replicas.isolated_versions import IsolatedVersion, IsolatedVersions
from serve_app.work.results import Failure, failure_of, log_fault


class LoadedVersions:
    """Versions added to `catalog`, and of others `max_loaded` that were used last.

    Inside Serve it tells which ones it has, so that blobs go to a replica that has their version (model multiplexing).
    """

    def __init__(self, registry: Registry, isolated: IsolatedVersions, max_loaded: int) -> None:
        self.catalog = Catalog(max_loaded=max_loaded)
        self.isolated = isolated
        self._registry = registry
        self._tell = _teller(max_loaded)
        self._loading = asyncio.Lock()

    @property
    def loaded_ids(self) -> list[str]:
        """Versions in memory, wherever."""
        return [*self.catalog.loaded_ids, *self.isolated.loaded_ids]

    async def place_of(self, reference: bytes, without: Collection[str] = ()) -> IsolatedVersion | Failure | None:
        """The version whose blobs have this reference, loaded; of several, one that is loaded, and not one of these.

        Its use is the caller's to end. Or why there is none; or None, if the replica's own process has it.
        """
        prefix = reference.hex()
        if not without and self._is_here(prefix):
            await self._tell(prefix)
            return None
        one = self._used(prefix, without)
        if one is None:
            async with self._loading:  # one at a time: each takes a core, and memory before others are dropped
                if not without and self._is_here(prefix):
                    return None
                one = self._used(prefix, without)
                if one is None:
                    failure = await asyncio.to_thread(self._find, reference, without)
                    one = self._used(prefix, without)
                    if failure is not None or one is None:
                        return failure
        try:
            failure = await self.isolated.quarantined(one.version)
            if failure is None:
                await self._tell(prefix)
                return one
        except BaseException:
            one.end_use()
            raise
        one.end_use()
        return failure

    def is_here(self, reference: bytes) -> bool:
        """Whether the replica's own process has a version of this reference."""
        return self._is_here(reference.hex())

    def _is_here(self, prefix: str) -> bool:
        return any(version.startswith(prefix) for version in self.catalog.loaded_ids)

    def _used(self, prefix: str, without: Collection[str]) -> IsolatedVersion | None:
        of_prefix = (version for version in self.isolated.loaded_ids if version.startswith(prefix))
        version = next((version for version in of_prefix if version not in without), None)
        return None if version is None else self.isolated.used(version)

    def _find(self, reference: bytes, without: Collection[str]) -> Failure | None:
        """Loads a version of this reference, wherever it belongs; or why it cannot be."""
        try:
            codec = None if without else next(self.catalog.candidates(reference), None)
            if codec is not None:
                codec.warm_up()
            else:
                self._start(reference, without)
        except NbmfError as error:
            return failure_of(error)
        except OSError as error:
            log_fault("the registry cannot be read", error)
            return Failure("registry_error", f"codec version {reference.hex()} cannot be read now; try again later")
        service_metrics().version_loaded(len(self.loaded_ids))
        return None

    def _start(self, reference: bytes, without: Collection[str]) -> None:
        """The first of the registry's versions that can be loaded. Raises NbmfError, OSError."""
        known = {*without, *self.catalog.loaded_ids}
        problem: NbmfError = UnknownCodec(reference.hex(), self._places())
        for version in self._registry.list_ids():
            if version.startswith(reference.hex()) and version not in known:
                try:
                    return self.isolated.start(version)
                except NbmfError as error:
                    problem = error
        raise problem

    def _places(self) -> list[str]:
        loaded = ", ".join(version[:12] for version in self.isolated.loaded_ids)
        isolated = f"versions in processes of their own ({loaded or 'none'})"
        return [*self.catalog.places(), isolated, f"registry {self._registry}"]


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
