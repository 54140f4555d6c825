"""What the ingress does for a rollout: splits records between two versions, and measures both."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from ray.serve.handle import DeploymentHandle

from cluster.registry import Registry
from nbmf.effort import EffortSetting
from nbmf.errors import BlobError
from nbmf.inspection import inspect
from nbmf.limits import DEFAULT_MAX_PAYLOAD_BYTES
from nbmf.payload import Kind
from nbmf.vectors.aim import DEFAULT_AIM
from nbmf.vectors.changed import Coded
from nbmf.vectors.compare import is_near
from serve_app.admission.relief import Relief
from serve_app.observe.live_fit import live_sizes
from serve_app.observe.measurements import Compared, Counts, Measurements
from serve_app.observe.metrics import Purpose
from serve_app.observe.observer import Observer
from serve_app.reading.items import ToEncode
from serve_app.rollout.loading import POLL_S
from serve_app.rollout.split import Keyed, Route, route
from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore
from serve_app.routing.encoders import Encoders
from serve_app.routing.replica_calls import call_in_parts
from serve_app.work.deadlines import DeadlineExceeded, until
from serve_app.work.off_loop import off_loop
from serve_app.work.results import Failure, RequestFailed

_MAX_COPIES = 8
"""Requests whose copies are in work at a time; others go without a copy, so that copies never hold up requests."""
_COPY_TIMEOUT_S = 30.0
_RECORDS_OF_PATIENCE = 20
"""So many records of a batch more, and the candidate has its candidate_timeout_s once more."""
_SAYS_NOTHING = ("deadline_exceeded", "unavailable", "registry_error")
"""Failures to decode that are no fault of the blob."""

_log = logging.getLogger("ray.serve")


class _NoEncoder(RequestFailed):
    """There is no application that encodes with the version."""


class Traffic:
    """Encodes by the deployed version, or, told to follow rollouts, by those of the present one."""

    def __init__(
        self,
        registry: str,
        version: str,
        encoders: Encoders,
        decoder: DeploymentHandle[Any],
        observer: Observer | None = None,
        max_call_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        least_cosine: float = DEFAULT_AIM.least_cosine,
        relief: Relief | None = None,
    ) -> None:
        self._registry = Registry(registry)
        self._store = RolloutStore(self._registry)
        self._deployed = version
        self._encoders = encoders
        self._decoder = decoder
        self._max_call_bytes = max_call_bytes
        self._least_cosine = least_cosine
        self._relief = relief or Relief(None)
        self._observer = observer or Observer()
        self._handles: dict[str, DeploymentHandle[Any]] = {}
        self._searches: dict[str, asyncio.Task[DeploymentHandle[Any]]] = {}
        self._route = Route(version)
        self._calls: Counter[tuple[str, str]] = Counter()
        self._measured: dict[tuple[str, int], Measurements] = {}
        self._copies: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None

    def follow(self, controller: DeploymentHandle[Any]) -> None:
        """Reads the rollout now and then twice a second, and tells the controller what was measured."""
        self._look()
        self._follower = asyncio.get_running_loop().create_task(self._follow(controller))

    @property
    def shares_percent(self) -> dict[str, float]:
        """Versions that encode now, each with its share of keys."""
        return self._route.shares_percent

    async def ready(self) -> None:
        """Returns when an encoder of the stable version answers. Raises RequestFailed."""
        await (await self._handle(self._route.stable)).ready.remote()

    async def encode(self, items: list[Keyed], effort: EffortSetting, deadline: float) -> list[Coded | Failure]:
        """Blobs of the records, each by its version. What the candidate fails at, stable does.

        Raises RequestFailed, DeadlineExceeded.
        """
        now = self._route
        asked = effort
        if now.rollout is None:  # which compares versions at what they were asked for
            effort = self._relief.effort(asked)
        with self._relief.waiting(sum(len(item.record.canonical) for item in items)):
            done = await self._encode_by(now, items, effort, deadline)
        if effort != asked:
            self._observer.relieved(sum(isinstance(one, Coded) for one in done))
        return done

    async def _encode_by(
        self, now: Route, items: list[Keyed], effort: EffortSetting, deadline: float
    ) -> list[Coded | Failure]:
        versions = [now.version_of(item.key) for item in items]
        results: dict[int, Coded | Failure] = {}

        async def part(version: str, indices: list[int]) -> None:
            records = [items[i].record for i in indices]
            attempt = self._try_candidate if version == now.candidate else self._encode
            results.update(zip(indices, await attempt(now, version, records, effort, deadline), strict=True))

        parts = {v: [i for i, version in enumerate(versions) if version == v] for v in set(versions)}
        await asyncio.gather(*(part(version, indices) for version, indices in parts.items()))
        again = [i for i in parts.get(now.candidate or "", []) if _is_fault(results[i])]
        if again:
            await part(now.stable, again)
            versions = [now.stable if i in again else version for i, version in enumerate(versions)]
        done = [results[i] for i in range(len(items))]
        if now.rollout is not None:
            self._sample(now.rollout, [item.record for item in items], versions, done, effort)
        return done

    async def _try_candidate(
        self,
        now: Route,
        version: str,
        records: list[ToEncode],
        effort: EffortSetting,
        deadline: float,
        *,
        purpose: Purpose = "served",
    ) -> list[Coded | Failure]:
        """As `_encode`, but it must leave stable the time to do it, and whatever goes wrong is a failure to encode."""
        assert now.rollout is not None  # noqa: S101
        begin = time.time()
        patience_s = now.rollout.policy.candidate_timeout_s * (1 + len(records) / _RECORDS_OF_PATIENCE)
        half_s = (deadline - begin) / 2
        until, hurried = begin + min(half_s, patience_s), half_s < patience_s
        try:
            return await self._encode(now, version, records, effort, until, hurried=hurried, purpose=purpose)
        except Exception as error:
            _log.warning("version %s could not encode: %s: %s", version[:12], type(error).__name__, error)
            return [Failure("internal_error", "the candidate could not encode the record")] * len(records)

    async def _encode(
        self,
        now: Route,
        version: str,
        records: list[ToEncode],
        effort: EffortSetting,
        deadline: float,
        *,
        hurried: bool = True,
        purpose: Purpose = "served",
    ) -> list[Coded | Failure]:
        """Counts what the version did. Raises RequestFailed, DeadlineExceeded.

        That one who was `hurried`, by a client with little time, did not do it in time is no fault. What a candidate
        does not do as its encoder is not there, or cold and too late, is not counted at all: after the whole cluster
        was away it is about to start.
        """
        started = time.perf_counter()
        warm = self._is_warm(now.rollout, version)
        counts = Counts(records=len(records))
        done: list[Coded | Failure] = []

        def count() -> None:
            record_s = (time.perf_counter() - started) / len(records)
            if warm:
                counts.encode_ms.count(record_s * 1000, len(records))
            self._count(now.rollout, version, counts)
            coded = [result for result in done if isinstance(result, Coded)]
            self._observer.encoded(version, counts, coded, record_s, purpose)

        try:
            async with until(deadline):  # finding it takes a call of Serve's controller, which may be away
                encoder = await self._handle(version)
            sizes_bytes = [len(record.canonical) for record in records]
            done = await call_in_parts(
                encoder.encode, records, sizes_bytes, self._max_call_bytes, effort, deadline, deadline=deadline
            )
        except Exception as error:  # not CancelledError: the client hung up
            late = isinstance(error, DeadlineExceeded)
            if version == now.candidate and (isinstance(error, _NoEncoder) or (late and not warm)):
                raise
            counts.faults = 0 if late and hurried else len(records)
            count()
            raise
        for record, result in zip(records, done, strict=True):
            if isinstance(result, Coded):
                counts.payload_bytes += len(record.canonical)
                counts.blob_bytes += len(result.blob)
            else:
                counts.faults += _is_fault(result)
        count()
        if self._observer.compares(effort):
            self._observer.fitted(version, await off_loop(sum(sizes_bytes), live_sizes, _coded(records, done)))
        return done

    def _is_warm(self, rollout: Rollout | None, version: str) -> bool:
        """Counts a call. In a rollout the first of each version tell how cold its replicas were, not how fast it is."""
        if rollout is None:
            return True
        self._calls[rollout.id, version] += 1
        return self._calls[rollout.id, version] > rollout.policy.warm_up_calls

    async def _handle(self, version: str) -> DeploymentHandle[Any]:
        """The version's encoder. Raises RequestFailed if there is none, as when it is still to be started."""
        if version in self._handles:
            return self._handles[version]
        if version not in self._searches:
            self._searches[version] = asyncio.create_task(self._find(version))
            self._searches[version].add_done_callback(lambda search: search.cancelled() or search.exception())
        # Who gives up does not end the search: it is for all who ask, and the next would begin anew.
        return await asyncio.shield(self._searches[version])

    async def _find(self, version: str) -> DeploymentHandle[Any]:
        try:
            found = await asyncio.to_thread(self._encoders.of, version)
        finally:
            del self._searches[version]
        if found is None:
            raise _NoEncoder(Failure("unavailable", f"version {version[:12]} has no encoder yet; try again later"))
        self._handles[version] = found
        return found

    def _sample(
        self,
        rollout: Rollout,
        records: list[ToEncode],
        versions: list[str],
        results: list[Coded | Failure],
        effort: EffortSetting,
    ) -> None:
        """Some requests are encoded by the other version too; of others, the candidate's blobs are decoded."""
        work: Coroutine[Any, Any, None] | None = None
        blobs = {i: result.blob for i, result in enumerate(results) if isinstance(result, Coded)}
        own = [i for i in blobs if versions[i] == rollout.candidate]
        if not rollout.ready or len(self._copies) >= _MAX_COPIES or not blobs:
            return
        chance = random.random() * 100  # noqa: S311
        if chance < rollout.policy.shadow_sample_percent:
            work = self._compare(rollout, [(versions[i], records[i], blob) for i, blob in blobs.items()], effort)
        elif own and random.random() * 100 < rollout.policy.verify_sample_percent:  # noqa: S311
            work = self._verify(rollout, [records[i] for i in own], [blobs[i] for i in own])
        if work is not None:
            task = asyncio.get_running_loop().create_task(_logged(work))
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def _compare(
        self, rollout: Rollout, served: list[tuple[str, ToEncode, bytes]], effort: EffortSetting
    ) -> None:
        now = Route(rollout.stable, rollout)
        for version, other in ((rollout.stable, rollout.candidate), (rollout.candidate, rollout.stable)):
            mine = [(record, blob) for served_by, record, blob in served if served_by == version]
            if not mine:
                continue
            records = [record for record, _ in mine]
            encode = self._try_candidate if other == rollout.candidate else self._encode
            copies = await encode(now, other, records, effort, time.time() + _COPY_TIMEOUT_S, purpose="copy")
            both = Compared()
            checked: list[tuple[ToEncode, bytes]] = []
            for (record, blob), copy in zip(mine, copies, strict=True):
                if isinstance(copy, Coded):
                    stable, candidate = (blob, copy.blob) if version == rollout.stable else (copy.blob, blob)
                    both.records += 1
                    both.payload_bytes += len(record.canonical)
                    both.stable_bytes += len(stable)
                    both.candidate_bytes += len(candidate)
                    checked.append((record, candidate))
            self._of(rollout).compared.add(both)
            await self._verify(rollout, [record for record, _ in checked], [blob for _, blob in checked])

    async def _verify(self, rollout: Rollout, records: list[ToEncode], blobs: list[bytes]) -> None:
        if not blobs:
            return
        deadline = time.time() + _COPY_TIMEOUT_S
        sizes_bytes = [len(record.canonical) for record in records]
        decoded = await call_in_parts(
            self._decoder.decode, blobs, sizes_bytes, self._max_call_bytes, deadline, deadline=deadline
        )
        told = [
            (record, blob, result)
            for record, blob, result in zip(records, blobs, decoded, strict=True)
            if not (isinstance(result, Failure) and result.code in _SAYS_NOTHING)
        ]
        wrong = await off_loop(sum(sizes_bytes), self._count_wrong, told)
        self._count(rollout, rollout.candidate, Counts(verified=len(told), mismatches=wrong))
        self._observer.verified(rollout.candidate, len(told), wrong)

    def _count_wrong(self, told: list[tuple[ToEncode, bytes, tuple[int, bytes] | Failure]]) -> int:
        return sum(
            isinstance(result, Failure) or not self._is_right(record, blob, result) for record, blob, result in told
        )

    def _is_right(self, record: ToEncode, blob: bytes, decoded: tuple[int, bytes]) -> bool:
        """Whether a blob decodes to its record; to near vectors, where these were asked for and it says so."""
        kind, canonical = decoded
        if kind != record.kind or canonical == record.canonical:
            return kind == record.kind
        if record.fidelity != "semantic" or inspect(blob).fidelity != "semantic":
            return False
        try:
            return is_near(Kind(kind), record.canonical, canonical, self._least_cosine)
        except BlobError:  # it is no record
            return False

    def _of(self, rollout: Rollout) -> Measurements:
        return self._measured.setdefault((rollout.id, rollout.round), Measurements())

    def _count(self, rollout: Rollout | None, version: str, counts: Counts) -> None:
        if rollout is not None:
            measured = self._of(rollout)
            (measured.candidate if version == rollout.candidate else measured.stable).add(counts)

    async def _follow(self, controller: DeploymentHandle[Any]) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await _logged(asyncio.to_thread(self._look))
            await _logged(self._report(controller))

    def _look(self) -> None:
        rollout = self._store.read()  # first: the channel changes before the rollout says that it is stable
        now = route(self._deployed, self._registry.resolve(), rollout)
        for version in set(self._handles) - {now.stable, now.candidate, self._route.stable}:
            del self._handles[version]  # if it comes back, its application is another
        self._route = now

    async def _report(self, controller: DeploymentHandle[Any]) -> None:
        for of in list(self._measured):
            measured = self._measured.pop(of)
            try:
                await controller.measured.remote(*of, measured)
            except Exception:
                self._measured.setdefault(of, Measurements()).add(measured)
                raise


def _coded(records: list[ToEncode], done: list[Coded | Failure]) -> list[tuple[int, int, Coded]]:
    """What `live_sizes` takes."""
    return [
        (record.kind, len(record.canonical), result)
        for record, result in zip(records, done, strict=True)
        if isinstance(result, Coded)
    ]


def _is_fault(result: Coded | Failure) -> bool:
    return isinstance(result, Failure) and result.status >= 500 and result.code != "deadline_exceeded"


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    """What fails beside requests must not end them, nor what follows it."""
    try:
        await work
    except Exception as error:
        _log.warning("rollout: %s: %s", type(error).__name__, error)
