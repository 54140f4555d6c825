"""The deployments that do the work. They take and give bytes: payloads are parsed and written by the ingress.

The coding runs in threads: Serve's throughput mode keeps a replica's own loop on its main thread, and
health checks must be answered while a large record is coded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from ray.serve.handle import DeploymentHandle

from cluster.registry import STUB, Registry
from nbmf import golden
from nbmf.codec import Codec
from nbmf.decoding import parse_bounded
from nbmf.effort import EffortSetting
from nbmf.engine import Engine, configure
from nbmf.errors import ChecksumMismatch, CorruptBlob, NbmfError
from nbmf.frame import Frame
from nbmf.json_text import values_within
from nbmf.neural.batches import most_side_by_side
from nbmf.payload import Canonical, Kind, check_canonical, to_canonical
from nbmf.vectors.aim import DEFAULT_AIM, Aim
from nbmf.vectors.changed import Coded
from serve_app.config import BatchConfig, DecoderLimits
from serve_app.observe.metrics import service_metrics
from serve_app.reading.items import ToEncode
from serve_app.replicas.isolated_versions import IsolatedVersions
from serve_app.replicas.loaded_versions import LoadedVersions
from serve_app.replicas.watchdog import watched
from serve_app.rollout.loading import Loader
from serve_app.rollout.store import RolloutStore
from serve_app.work.batching import Batcher, Overloaded
from serve_app.work.collector import paused_collector
from serve_app.work.deadlines import DeadlineExceeded, check
from serve_app.work.off_loop import LARGE_BYTES
from serve_app.work.results import Failure, attempt_batch, attempt_each, failure_of

_Travelling: TypeAlias = tuple[int, bytes]
"""Canonical bytes as they go from process to process: with the number of their kind."""


class Encoder:
    """Encodes with one codec version, vectors of semantic records up to `aim`; records of several requests as one
    batch."""

    def __init__(self, registry: str, version: str, engine: Engine, batch: BatchConfig, aim: Aim = DEFAULT_AIM) -> None:
        self._codec = _warm(registry, version, engine)
        self._aim = aim
        encode = watched(self._encode, lambda record: len(record.canonical), batch.timeout_s)
        self._batcher: Batcher[ToEncode, Coded | Failure] = Batcher(
            encode, batch.max_records, batch.max_bytes, batch.concurrency, batch.max_wait_s
        )

    async def encode(
        self, records: list[ToEncode], effort: EffortSetting, deadline: float = math.inf
    ) -> list[Coded | Failure] | Failure:
        """Blobs of the records; with effort auto, within its budget for decoding a record.

        Nothing is coded after the deadline, in seconds since the epoch: the request fails as a whole.
        """
        sizes_bytes = [len(record.canonical) for record in records]
        try:
            return await self._batcher(effort, records, sizes_bytes, deadline)
        except Overloaded as error:
            return failure_of(error)
        except DeadlineExceeded as error:
            service_metrics().deadline_drop("replica")
            return failure_of(error)

    def _encode(self, effort: Hashable, records: list[ToEncode]) -> list[Coded | Failure]:
        assert isinstance(effort, EffortSetting)  # noqa: S101
        service_metrics().batch("encode", len(records))

        def together(some: list[ToEncode]) -> list[Coded]:
            return self._codec.encode_canonical_measured(
                [Canonical(Kind(record.kind), record.canonical) for record in some],
                [record.fidelity for record in some],
                **effort.keywords,
                aim=self._aim,
            )

        return attempt_batch(together, records)

    def ready(self) -> bool:
        """For the ingress's health page: this replica has its codec."""
        return True


class Decoder:
    """Decodes blobs of any version of the registry; those of several requests side by side, or as one batch.

    `version` is warm from the start, others are loaded when a blob first names them, or, with a rollout's controller,
    when the rollout begins, which it is told. What the service does not encode with, or no more, or not yet, is decoded
    in a process of its own: what a version does there is done to its own blobs alone.
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
        isolated = IsolatedVersions(self._registry, engine, batch, limits.max_payload_bytes, limits.max_loaded_versions)
        self._versions = LoadedVersions(self._registry, isolated, limits.max_loaded_versions)
        # PyTorch is quick for large batches alone.
        joins = batch.side_by_side != 1 and engine.name != "torch"
        self._versions.catalog.add(_warm(registry, version, replace(engine, joins=joins)))
        at_once = (batch.side_by_side or most_side_by_side()) * engine.threads if joins else batch.concurrency
        self._batches_are_of_one_call = joins
        # Others have their part of the time that its bytes take.
        decode = watched(self._decode, lambda frame: at_once * _payload_bytes(frame), batch.timeout_s)
        self._batcher: Batcher[Frame | Failure, _Travelling | Failure] = Batcher(
            decode,
            batch.max_records,
            batch.max_bytes,
            at_once,
            batch.max_wait_s,
            ThreadPoolExecutor(at_once, "decode"),
            most_of_a_call=max(1, min(2 * engine.threads, at_once - 1)) if joins else None,
        )
        self._following: asyncio.Task[None] | None = None
        if controller is not None:
            loader = Loader(RolloutStore(self._registry), self._load, self._release)
            self._following = asyncio.get_running_loop().create_task(loader.run(controller))

    async def decode(self, blobs: list[bytes], deadline: float = math.inf) -> list[_Travelling | Failure] | Failure:
        """(kind, canonical bytes) of each blob; as in Encoder.encode, nothing after the deadline."""
        try:
            check(deadline)
            parsed = attempt_each(partial(parse_bounded, max_output_bytes=self._max_payload_bytes), blobs)
            call = _DecodeCall(blobs, parsed, deadline)
            here: list[int] = []
            apart: dict[bytes, list[int]] = {}
            for index, frame in enumerate(parsed):
                if isinstance(frame, Failure) or not frame.reference or self._versions.is_here(frame.reference):
                    here.append(index)
                else:
                    apart.setdefault(frame.reference, []).append(index)
            parts = [self._decode_named(call, *part) for part in apart.items()]
            await asyncio.gather(self._decode_here(call, here), *parts)
            return [call.results[index] for index in range(len(blobs))]
        except Overloaded as error:
            return failure_of(error)
        except DeadlineExceeded as error:
            service_metrics().deadline_drop("replica")
            return failure_of(error)

    async def _decode_here(self, call: _DecodeCall, indices: list[int]) -> None:
        """In this process."""
        frames = [call.parsed[index] for index in indices]
        sizes_bytes = [_payload_bytes(frame) for frame in frames]
        done = await self._batcher(self._how(frames), frames, sizes_bytes, call.deadline)
        call.results.update(zip(indices, done, strict=True))
        for reference, corrupt in call.corrupt(indices).items():
            await self._decode_named(call, reference, corrupt, ("",))

    def _how(self, frames: list[Frame | Failure]) -> Hashable:
        """The coders of a call, which decide most how quick it is; None where batches hold several calls, whatever the
        coders."""
        if not self._batches_are_of_one_call:
            return None
        return frozenset(frame.coder for frame in frames if isinstance(frame, Frame))

    async def _decode_named(
        self, call: _DecodeCall, reference: bytes, indices: list[int], tried: tuple[str, ...] = ()
    ) -> None:
        """Blobs of one reference, where the version is that has it: what the first cannot decode, the next tries."""
        place = await self._versions.place_of(reference, tried)
        if place is None:
            return await self._decode_here(call, indices)
        if isinstance(place, Failure):
            if not tried:  # else the others' word stands
                call.results.update(dict.fromkeys(indices, place))
            return None
        try:
            done = await place.decode([call.sized(index) for index in indices], call.deadline)
        finally:
            place.end_use()
        call.results.update({index: call.record(index, result) for index, result in zip(indices, done, strict=True)})
        for corrupt in call.corrupt(indices).values():
            await self._decode_named(call, reference, corrupt, (*tried, place.version))
        return None

    def _decode(self, _how: Hashable, parsed: list[Frame | Failure]) -> list[_Travelling | Failure]:
        service_metrics().batch("decode", len(parsed))
        return attempt_each(self._readable, attempt_batch(self._decode_frames, parsed))

    def _decode_frames(self, frames: list[Frame]) -> list[_Travelling | NbmfError]:
        results = self._versions.catalog.decode_canonical_batch(frames)
        return [
            result if isinstance(result, NbmfError) else (int(parsed.kind), result)
            for parsed, result in zip(frames, results, strict=True)
        ]

    def _readable(self, decoded: _Travelling) -> _Travelling:
        """A forged blob can have a true checksum over bytes that are no JSON; the ingress passes JSON on as it is."""
        kind, canonical = decoded
        with paused_collector() if len(canonical) > LARGE_BYTES else nullcontext():
            check_canonical(Kind(kind), canonical, values_within(self._max_payload_bytes))
        return decoded

    def _load(self, version: str, trusted: bool) -> None:
        """Loads a version, which decodes its golden records; one that the service encodes with into this process, where
        they go the way of blobs. Raises NbmfError."""
        if not trusted and version not in self._versions.catalog.loaded_ids:
            self._versions.isolated.start(version)
            self._versions.isolated.keep(version)
            return
        if version == STUB:  # whose dicts the ingress reads
            return
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

    def _release(self, version: str, trusted: bool) -> None:
        if trusted:
            self._versions.catalog.release(version)
        else:
            self._versions.isolated.release(version)

    def ready(self) -> bool:
        """For the ingress's health page."""
        return True


def _warm(registry: str, version: str, engine: Engine) -> Codec:
    """The version, loaded and compiled, so that the replica's first request is as quick as others."""
    configure(engine.name, engine.threads, engine.joins)
    codec = Registry(registry).load(version)
    codec.warm_up()
    return codec


@dataclass(frozen=True, slots=True)
class _DecodeCall:
    """A call of a decoder, and what came of its blobs so far, by their indices."""

    blobs: list[bytes]
    parsed: list[Frame | Failure]
    deadline: float
    results: dict[int, _Travelling | Failure] = field(default_factory=dict)

    def sized(self, index: int) -> tuple[bytes, int]:
        """A blob, and how many canonical bytes it declares."""
        return self.blobs[index], _payload_bytes(self.parsed[index])

    def record(self, index: int, canonical: bytes | Failure) -> _Travelling | Failure:
        """What is told of a blob with these canonical bytes."""
        frame = self.parsed[index]
        if isinstance(canonical, Failure):
            return canonical
        assert isinstance(frame, Frame)  # noqa: S101
        return int(frame.kind), canonical

    def corrupt(self, indices: list[int]) -> dict[bytes, list[int]]:
        """Those that a version found corrupt, by reference: another version of the same one may have written them."""
        found: dict[bytes, list[int]] = {}
        for index in indices:
            frame, result = self.parsed[index], self.results[index]
            if isinstance(frame, Failure) or not isinstance(result, Failure) or not frame.reference:
                continue
            if result.code in (CorruptBlob.code, ChecksumMismatch.code):
                found.setdefault(frame.reference, []).append(index)
        return found


def _payload_bytes(frame: Frame | Failure) -> int:
    return 0 if isinstance(frame, Failure) else frame.payload_bytes
