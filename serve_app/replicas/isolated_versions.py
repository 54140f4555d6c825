"""The isolated versions of a decoder replica: those that blobs or a rollout named, each in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from cluster.quarantine import Quarantine
from cluster.registry import Registry
from nbmf.engine import Engine
from nbmf.errors import NbmfError
from serve_app.config import BatchConfig
from serve_app.isolation.pipes import Refusal
from serve_app.isolation.process import IsolatedProcess, ProcessLost, VersionKilled
from serve_app.observe.metrics import service_metrics
from serve_app.work.batching import Batcher
from serve_app.work.results import Failure, failure_of

Sized = tuple[bytes, int]
"""A blob, and how many canonical bytes it declares."""

_QUARANTINE_IS_READ_EVERY_S = 1.0

_PUT_AWAY = ProcessLost("the version was put away meanwhile; try again")

_log = logging.getLogger("ray.serve")


class IsolatedVersion:
    """A version's process and the batches that wait for it. `on_end` is told why the process is of no use any more."""

    def __init__(
        self, version: str, process: IsolatedProcess, batch: BatchConfig, on_end: Callable[[NbmfError], None]
    ) -> None:
        self.version = version
        self._process = process
        self._on_end = on_end
        self._ended: NbmfError | None = None
        self._users = 0
        self._unwanted = False
        self._thread = ThreadPoolExecutor(1)  # its own: those that hang must not take all that there are
        self._batcher: Batcher[Sized, bytes | Failure] = Batcher(
            self._decode, batch.max_records, batch.max_bytes, 1, batch.max_wait_s, self._thread
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can decode."""
        return self._ended is None

    def begin_use(self) -> None:
        """It is not put away until as many uses have ended."""
        self._users += 1

    def end_use(self) -> None:
        """The last one ends the process of a version that is unwanted."""
        self._users -= 1
        if self._unwanted:
            self.put_away()

    def put_away(self) -> None:
        """Ends the process once nobody uses it any more."""
        self._unwanted = True
        if self._users <= 0:
            self.close()

    async def decode(self, blobs: list[Sized], deadline: float) -> list[bytes | Failure]:
        """Canonical bytes of each. Raises Overloaded, DeadlineExceeded."""
        return await self._batcher(None, blobs, [size for _, size in blobs], deadline)

    def _decode(self, _how: Hashable, blobs: list[Sized]) -> list[bytes | Failure]:
        if self._ended is None:
            try:
                results = self._process.decode([blob for blob, _ in blobs], sum(size for _, size in blobs))
                return [Failure(r.code, r.message) if isinstance(r, Refusal) else r for r in results]
            except (VersionKilled, ProcessLost) as error:
                self._process.close()
                if self._ended is None:  # else it was closed
                    self._ended = error
                    self._on_end(error)
        return [failure_of(self._ended)] * len(blobs)

    def close(self) -> None:
        """Ends the process now; what waits for it fails."""
        self._ended = self._ended or _PUT_AWAY
        self._thread.shutdown(wait=False)
        self._process.close()


class IsolatedVersions:
    """The `max_loaded` versions that were used last, besides those that are kept."""

    def __init__(
        self, registry: Registry, engine: Engine, batch: BatchConfig, max_payload_bytes: int, max_loaded: int
    ) -> None:
        self._registry = registry
        self._quarantine = Quarantine(registry)
        self._engine, self._batch = engine, batch
        self._max_payload_bytes, self._max_loaded = max_payload_bytes, max_loaded
        self._versions: OrderedDict[str, IsolatedVersion] = OrderedDict()
        self._kept: set[str] = set()
        self._starting = threading.Lock()
        self._lost: set[str] = set()
        self._quarantined: dict[str, str] = {}
        self._read_at = -math.inf

    @property
    def loaded_ids(self) -> list[str]:
        """Versions that have a process."""
        return [version for version, one in list(self._versions.items()) if one.is_alive]

    def start(self, version: str) -> None:
        """Gives the version its process, if it has none, and has it tried there. Blocks for a second or two.

        Raises QuarantinedCodec, DamagedCodec, InexactMachine, UnsupportedFormat, VersionNotFound, ProcessLost.
        """
        self._quarantine.check(version)
        with self._starting:  # a rollout and a blob may name it at once
            if version not in self.loaded_ids:
                self._start(version)

    def _start(self, version: str) -> None:
        try:
            process = IsolatedProcess(
                self._registry.fetch(version), self._engine, self._max_payload_bytes, self._batch.timeout_s
            )
        except (VersionKilled, ProcessLost) as error:
            self._ended(version, error)
            self._quarantine.check(version)
            raise
        self._versions[version] = IsolatedVersion(
            version, process, self._batch, lambda error: self._ended(version, error)
        )
        self._drop_oldest()

    def keep(self, version: str) -> None:
        """The version stays until it is released."""
        self._kept.add(version)

    def release(self, version: str) -> None:
        """A version that was kept is then as one that a blob named."""
        self._kept.discard(version)
        self._drop_oldest()

    def used(self, version: str) -> IsolatedVersion | None:
        """The version, if it is there, whose use begins with this, and is for the caller to end."""
        one = self._versions.get(version)
        if one is None:
            return None
        one.begin_use()
        self._versions.move_to_end(version)
        return one

    async def quarantined(self, version: str) -> Failure | None:
        """Why the version's blobs are refused, by what the registry said a second ago or later."""
        if time.monotonic() - self._read_at > _QUARANTINE_IS_READ_EVERY_S:
            self._read_at = time.monotonic()
            await asyncio.to_thread(self._read)
        reason = self._quarantined.get(version)
        if reason is None:
            return None
        one = self._versions.pop(version, None)
        if one is not None:
            await asyncio.to_thread(one.close)
        return Failure("quarantined_codec", f"version {version[:12]} is in quarantine: {reason}")

    def close(self) -> None:
        """Ends all processes."""
        while self._versions:
            self._versions.popitem()[1].close()

    def _read(self) -> None:
        try:
            self._quarantined = {version: line.reason for version, line in self._quarantine.read().items()}
        except Exception as error:  # what was known still holds
            _log.warning("the quarantine cannot be read: %s", error)

    def _ended(self, version: str, error: NbmfError) -> None:
        """A version that killed its process, or was lost a second time, comes into quarantine."""
        _log.warning("version %s: %s", version[:12], error)
        service_metrics().version_ended(version)
        self._versions.pop(version, None)
        if isinstance(error, ProcessLost) and version not in self._lost:
            self._lost.add(version)
            return
        try:
            self._quarantine.add(version, str(error), time.time())
        except Exception as failed:
            _log.warning("version %s cannot be put into quarantine: %s", version[:12], failed)
        self._quarantined = {**self._quarantined, version: str(error)}

    def _drop_oldest(self) -> None:
        named = [version for version in list(self._versions) if version not in self._kept]
        for version in named[: max(0, len(named) - self._max_loaded)]:
            one = self._versions.pop(version, None)
            if one is not None:
                one.put_away()
