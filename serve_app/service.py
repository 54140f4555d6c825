"""What is done with a request's records, whatever protocol they came by: coded by the replicas, counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from cluster.errors import QuarantinedCodec
from cluster.quarantine import Quarantine
from cluster.registry import STUB, Registry
from nbmf.effort import EffortSetting
from nbmf.errors import NbmfError
from nbmf.inspection import inspect
from nbmf.payload import Kind
from nbmf.vectors.changed import Changed
from serve_app.admission.work_slots import Side, WorkSlots
from serve_app.config import ServeConfig
from serve_app.observe.calls import Call
from serve_app.reading.dict_blobs import may_be_dict_blob
from serve_app.reading.items import BatchTooLarge, check_count
from serve_app.rollout.split import Keyed
from serve_app.rollout.traffic import Traffic
from serve_app.routing.decoders import Decoders, declared_bytes
from serve_app.work.deadlines import check
from serve_app.work.results import Failure, RequestFailed

_HEALTH_TIMEOUT_S = 5

T = TypeVar("T")
R = TypeVar("R")


class Told(NamedTuple):
    """Names of kind and coder (`stub`: one of its dicts), and the start of the id of the version that reading needs."""

    kind: str
    coder: str
    codec: str | None


class Encoded(NamedTuple):
    """A blob, or the JSON text of a dict of the stub; number of the kind, and canonical bytes, of what it was made of;
    and what it changed of that, if anything."""

    blob: bytes
    payload_bytes: int
    kind: int
    changed: Changed | None

    @property
    def told(self) -> Told:
        """What answers tell of it."""
        if may_be_dict_blob(self.blob):
            return Told(Kind(self.kind).label, STUB, None)
        info = inspect(self.blob)
        return Told(info.kind, info.coder, info.codec)


class CodecService:
    """Encodes by the versions that traffic goes to, decodes by any. Limits of the configuration hold."""

    def __init__(self, config: ServeConfig, registry: Registry, traffic: Traffic, decoders: Decoders) -> None:
        self.config = config
        self._registry = registry
        self._traffic = traffic
        self._decoders = decoders
        self._slots = WorkSlots(config.ingress.max_ongoing_requests, config.max_queued_requests)

    async def encode(
        self, call: Call, records: Sequence[Keyed | Failure], effort: EffortSetting
    ) -> list[Encoded | Failure]:
        """A blob, or why there is none, for each record.

        Raises RequestFailed, DeadlineExceeded, Overloaded, BatchTooLarge.
        """

        async def encoded(good: list[Keyed]) -> list[Encoded | Failure]:
            coded = await self._traffic.encode(good, effort, call.deadline)
            return [
                one
                if isinstance(one, Failure)
                else Encoded(one.blob, len(item.record.canonical), item.record.kind, one.changed)
                for item, one in zip(good, coded, strict=True)
            ]

        return await self._each(call, Side.ENCODE, records, encoded)

    async def decode(self, call: Call, blobs: Sequence[bytes | Failure]) -> list[tuple[int, bytes] | Failure]:
        """(kind, canonical bytes), or why there is nothing, for each blob. Raises as `encode`."""

        def decoded(good: list[bytes]) -> Awaitable[list[tuple[int, bytes] | Failure]]:
            # What is over max_payload_bytes is refused unread.
            declared = [size for size in map(declared_bytes, good) if size <= self.config.max_payload_bytes]
            limit = self.config.max_batch_payload_bytes
            if sum(declared) > limit:
                raise BatchTooLarge(f"the blobs declare {sum(declared)} bytes; the server takes {limit} at a time")
            return self._decoders.decode(good, call.deadline)

        return await self._each(call, Side.DECODE, blobs, decoded)

    async def _each(
        self, call: Call, side: Side, items: Sequence[T | Failure], work: Callable[[list[T]], Awaitable[list[R]]]
    ) -> list[R | Failure]:
        """Gives the items that could be read to `work` in one call, and returns results in order."""
        check_count(len(items), self.config.max_batch_records)
        call.records = len(items)
        good = [item for item in items if not isinstance(item, Failure)]
        done: Iterator[R] = iter(())
        if good:
            async with self._slots.taken(side, call.deadline):
                check(call.deadline)
                done = iter(await work(good))
                check(call.deadline)
        return [item if isinstance(item, Failure) else next(done) for item in items]

    async def versions(self) -> dict[str, Any]:
        """Codec versions in the registry. One that cannot be used has an error in place of what it is."""
        return await asyncio.to_thread(self._versions)

    def _versions(self) -> dict[str, Any]:
        channels, shares = self._registry.channels(), self._traffic.shares_percent
        quarantined = Quarantine(self._registry).read()
        rows: list[dict[str, Any]] = []
        if STUB in shares or any(line.version == STUB for line in channels.history):
            on = ["stable"] if channels.stable == STUB else []
            share = shares.get(STUB, 0.0)
            rows.append(
                {"id": STUB, "channels": on, "share_percent": share, "name": "the zlib stub", "architecture": "zlib"}
            )
        for version_id, manifest in self._registry.manifests():
            row = {
                "id": version_id,
                "channels": [c for c in ("stable", "candidate") if getattr(channels, c) == version_id],
                "share_percent": shares.get(version_id, 0.0),
            }
            if version_id in quarantined:
                reason = f"in quarantine: {quarantined[version_id].reason}"
                row["error"] = {"code": QuarantinedCodec.code, "message": reason}
            elif isinstance(manifest, NbmfError):
                row["error"] = {"code": manifest.code, "message": str(manifest)}
            else:
                row |= {
                    "name": manifest.name,
                    "created_at": manifest.created_at,
                    "architecture": manifest.architecture,
                    "measured": manifest.measured.get("all", {}),
                }
            rows.append(row)
        return {"versions": rows}

    async def check_health(self) -> None:
        """Raises RequestFailed unless an encoder and a decoder answer."""
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                await self._traffic.ready()
                await self._decoders.ready()
        except Exception as error:
            failure = Failure("unavailable", f"a deployment does not answer: {type(error).__name__}")
            raise RequestFailed(failure) from error
