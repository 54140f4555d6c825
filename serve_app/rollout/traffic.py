"""What the ingress does for a rollout: splits records between two versions, and measures both."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from ray.serve.handle import DeploymentHandle

from cluster.registry import Registry
from nbmf.codec import Effort
from serve_app.results import Failure
from serve_app.rollout.loading import POLL_S
from serve_app.rollout.measurements import Compared, Counts, Measurements
from serve_app.rollout.split import Route, route
from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore

_MAX_COPIES = 8
"""Requests whose copies are in work at a time; others go without a copy, so that copies never hold up requests."""
_COPY_TIMEOUT_S = 30.0
_SAYS_NOTHING = ("deadline_exceeded", "unavailable", "registry_error")
"""Failures to decode that are no fault of the blob."""

_log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record (kind, canonical bytes) and what decides on its version."""

    record: tuple[int, bytes]
    key: bytes


class Traffic:
    """Encodes by the versions of the present rollout, which it reads anew twice a second."""

    def __init__(
        self,
        registry: str,
        version: str,
        encoder: DeploymentHandle[Any],
        decoder: DeploymentHandle[Any],
        controller: DeploymentHandle[Any],
    ) -> None:
        self._registry = Registry(registry)
        self._store = RolloutStore(self._registry)
        self._deployed = version
        self._encoder = encoder
        self._decoder = decoder
        self._controller = controller
        self._route = Route(version)
        self._measured: dict[tuple[str, int], Measurements] = {}
        self._copies: set[asyncio.Task[None]] = set()
        self._look()
        self._follower = asyncio.get_running_loop().create_task(self._follow())

    async def encode(
        self, items: list[Keyed], asked: tuple[Effort, float], deadline: float
    ) -> list[bytes | Failure] | Failure:
        """Blobs of the records, each by its version. What the candidate fails at, stable does."""
        now = self._route
        versions = [now.version_of(item.key) for item in items]
        results: dict[int, bytes | Failure] = {}

        async def part(version: str, indices: list[int]) -> Failure | None:
            done = await self._encode(now, version, [items[i].record for i in indices], asked, deadline)
            if isinstance(done, Failure):
                return done
            results.update(zip(indices, done, strict=True))
            return None

        parts = {v: [i for i, version in enumerate(versions) if version == v] for v in set(versions)}
        for failure in await asyncio.gather(*(part(version, indices) for version, indices in parts.items())):
            if failure is not None:
                return failure
        again = [i for i in parts.get(now.candidate or "", []) if _is_fault(results[i])]
        if again:
            failure = await part(now.stable, again)
            if failure is not None:
                return failure
            versions = [now.stable if i in again else version for i, version in enumerate(versions)]
        if now.rollout is not None:
            self._sample(
                now.rollout, [i.record for i in items], versions, [results[i] for i in range(len(items))], asked
            )
        return [results[i] for i in range(len(items))]

    async def _encode(
        self, now: Route, version: str, records: list[tuple[int, bytes]], asked: tuple[Effort, float], deadline: float
    ) -> list[bytes | Failure] | Failure:
        started = time.perf_counter()
        try:
            done = await self._encoder.encode.remote(records, *asked, deadline, version)
        except asyncio.CancelledError:
            if time.time() >= deadline:  # else the client hung up
                self._count(now.rollout, version, Counts(records=len(records), faults=len(records)))
            raise
        counts = Counts(records=len(records))
        counts.encode_ms.count((time.perf_counter() - started) * 1000 / len(records), len(records))
        if isinstance(done, Failure):
            return done
        for (_, data), blob in zip(records, done, strict=True):
            if isinstance(blob, bytes):
                counts.payload_bytes += len(data)
                counts.blob_bytes += len(blob)
            else:
                counts.faults += _is_fault(blob)
        self._count(now.rollout, version, counts)
        return list(done)

    def _sample(
        self,
        rollout: Rollout,
        records: list[tuple[int, bytes]],
        versions: list[str],
        results: list[bytes | Failure],
        asked: tuple[Effort, float],
    ) -> None:
        """Some requests are encoded by the other version too; of others, the candidate's blobs are decoded."""
        work: Coroutine[Any, Any, None] | None = None
        good = [i for i, result in enumerate(results) if isinstance(result, bytes)]
        own = [i for i in good if versions[i] == rollout.candidate]
        if len(self._copies) >= _MAX_COPIES or not good:
            return
        chance = random.random() * 100  # noqa: S311
        if chance < rollout.policy.shadow_sample_percent:
            work = self._compare(rollout, [(versions[i], records[i], results[i]) for i in good], asked)
        elif own and random.random() * 100 < rollout.policy.verify_sample_percent:  # noqa: S311
            work = self._verify(rollout, [records[i] for i in own], [results[i] for i in own])
        if work is not None:
            task = asyncio.get_running_loop().create_task(_logged(work))
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def _compare(self, rollout: Rollout, served: list[tuple[str, tuple[int, bytes], Any]], asked: Any) -> None:
        now = Route(rollout.stable, rollout)
        for version, other in ((rollout.stable, rollout.candidate), (rollout.candidate, rollout.stable)):
            mine = [(record, blob) for served_by, record, blob in served if served_by == version]
            if not mine:
                continue
            records = [record for record, _ in mine]
            copies = await self._encode(now, other, records, asked, time.time() + _COPY_TIMEOUT_S)
            if isinstance(copies, Failure):
                continue
            both = Compared()
            checked: list[tuple[tuple[int, bytes], Any]] = []
            for (record, blob), copy in zip(mine, copies, strict=True):
                if isinstance(copy, bytes):
                    stable, candidate = (blob, copy) if version == rollout.stable else (copy, blob)
                    both.records += 1
                    both.payload_bytes += len(record[1])
                    both.stable_bytes += len(stable)
                    both.candidate_bytes += len(candidate)
                    checked.append((record, candidate))
            self._of(rollout).compared.add(both)
            await self._verify(rollout, [record for record, _ in checked], [blob for _, blob in checked])

    async def _verify(self, rollout: Rollout, records: list[tuple[int, bytes]], blobs: list[Any]) -> None:
        if not blobs:
            return
        decoded = await self._decoder.decode.remote(blobs, time.time() + _COPY_TIMEOUT_S)
        if isinstance(decoded, Failure):
            return
        told = [
            (record, result)
            for record, result in zip(records, decoded, strict=True)
            if not (isinstance(result, Failure) and result.code in _SAYS_NOTHING)
        ]
        wrong = sum(isinstance(result, Failure) or tuple(result) != record for record, result in told)
        self._count(rollout, rollout.candidate, Counts(verified=len(told), mismatches=wrong))

    def _of(self, rollout: Rollout) -> Measurements:
        return self._measured.setdefault((rollout.id, rollout.round), Measurements())

    def _count(self, rollout: Rollout | None, version: str, counts: Counts) -> None:
        if rollout is not None:
            measured = self._of(rollout)
            (measured.candidate if version == rollout.candidate else measured.stable).add(counts)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await _logged(asyncio.to_thread(self._look))
            await _logged(self._report())

    def _look(self) -> None:
        rollout = self._store.read()  # first: the channel changes before the rollout says that it is stable
        self._route = route(self._deployed, self._registry.resolve(), rollout)

    async def _report(self) -> None:
        for of in list(self._measured):
            measured = self._measured.pop(of)
            try:
                await self._controller.measured.remote(*of, measured)
            except Exception:
                self._measured.setdefault(of, Measurements()).add(measured)
                raise


def _is_fault(result: bytes | Failure) -> bool:
    return isinstance(result, Failure) and result.status >= 500 and result.code != "deadline_exceeded"


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    """What fails beside requests must not end them, nor what follows it."""
    try:
        await work
    except Exception as error:
        _log.warning("rollout: %s: %s", type(error).__name__, error)
