"""The admin API: rollouts by hand, and what was measured lately.

A key comes in a header that no page of another origin can send unasked, and never in a cookie. A server without keys
takes admin requests only if it listens on a loopback address, and then none that a page of another origin sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import Depends, FastAPI, Query, Request
from pydantic import BaseModel, ValidationError
from ray.serve.handle import DeploymentHandle

from cluster.config import problems
from cluster.quarantine import Quarantine
from cluster.registry import Registry
from nbmf import protocol
from nbmf.errors import NbmfError
from nbmf.wire import BadWire, dump
from serve_app.admission.api_keys import Authenticator, Forbidden
from serve_app.admission.incoming import IncomingBodies
from serve_app.admission.origins import check_origin
from serve_app.config import ServeConfig
from serve_app.http import schemas
from serve_app.http.admin_schemas import (
    AdvanceRollout,
    History,
    ReleaseVersion,
    RolloutStatus,
    RolloutView,
    SeenRollout,
    Share,
    StartRollout,
    TransitionView,
)
from serve_app.http.parameters import KNOWN_ONLY
from serve_app.observe.calls import call_of
from serve_app.observe.recent import Series
from serve_app.reading.items import parse_object
from serve_app.rollout.split import Route, route
from serve_app.rollout.state import Rollout, RolloutError
from serve_app.rollout.store import RolloutStore
from serve_app.rollout_policy import RolloutPolicy
from serve_app.routing.replica_calls import call as call_replica
from serve_app.work.deadlines import deadline_of
from serve_app.work.results import Failure, RequestFailed

M = TypeVar("M", bound=BaseModel)
Endpoint: TypeAlias = Callable[..., Awaitable[Any]]
PREFIX = protocol.ADMIN
MAX_BODY_BYTES = 64 * 1024


def _takes(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The description of a body. Schemas that it refers to are among the page's: answers have them."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


class FixedVersion(NbmfError):
    """The server serves one version that is named by its id, and takes no part in rollouts."""

    code = "fixed_version"

    def __init__(self) -> None:
        super().__init__("this server serves one fixed version; configure `version: stable` to roll others out")


class Admin:
    """Routes under /v1/admin, of a server that was deployed with this version."""

    def __init__(
        self,
        config: ServeConfig,
        registry: Registry,
        version: str,
        controller: DeploymentHandle[Any] | None,
        incoming: IncomingBodies,
    ) -> None:
        self._config = config
        self._incoming = incoming
        self._registry = registry
        self._store = RolloutStore(registry)
        self._quarantine = Quarantine(registry)
        self._version = version
        self._controller = controller
        self._follows = controller is not None and config.follows_rollouts

    def add_routes(self, api: FastAPI, authenticator: Authenticator) -> None:
        """Adds the routes, for keys of the role admin."""
        needs = [*(authenticator.needs("admin") or [Depends(self._local_only)]), KNOWN_ONLY]

        def add(
            method: str, path: str, endpoint: Callable[..., Awaitable[Any]], *statuses: int, **options: Any
        ) -> None:
            api.add_api_route(
                PREFIX + path,
                endpoint,
                methods=[method],
                dependencies=needs,
                responses=schemas.errors(400, 401, 403, *statuses, 503),
                tags=["admin"],
                **options,
            )

        add("GET", "/rollout", self.rollout)
        add("GET", "/rollout/history", self.history)
        add("POST", "/rollout/start", self.start, 404, 409, 413, openapi_extra=_takes(StartRollout))
        add("POST", "/rollout/advance", self.advance, 409, 413, openapi_extra=_takes(AdvanceRollout))
        for action in (self.pause, self.resume, self.rollback):
            body = _takes(SeenRollout, required=False)
            add("POST", f"/rollout/{action.__name__}", action, 409, 413, openapi_extra=body)
        add("POST", "/quarantine/release", self.release, 404, 409, 413, openapi_extra=_takes(ReleaseVersion))
        add("GET", "/recent", self.recent)

    async def rollout(self) -> RolloutStatus:
        """The latest rollout: its state, its gates with what was measured; and the share of each version."""
        return await asyncio.to_thread(self._status)

    async def history(
        self, limit: Annotated[int, Query(ge=1, le=1000, description="transitions, the newest")] = 100
    ) -> History:
        """Transitions of all rollouts, newest first, each with what was measured in the state before."""
        lines = await asyncio.to_thread(self._store.history)
        quarantine = await asyncio.to_thread(self._quarantine.lines)
        return History(
            transitions=[TransitionView.of(line) for line in lines[: -limit - 1 : -1]],
            quarantine=quarantine[: -limit - 1 : -1],
        )

    async def start(self, request: Request) -> RolloutStatus:
        """Start a rollout: the candidate encodes a copy of some requests, and is measured."""
        asked = await self._asked(request, StartRollout)
        given = asked.policy.model_dump(exclude_unset=True) if asked.policy else {}
        try:
            policy = RolloutPolicy(**{**self._config.rollout.model_dump(), **given})
        except ValidationError as error:
            raise BadWire(problems(error.errors(), "body")) from error
        reason = f"started {_by(request)}"
        return await self._change(lambda: self._store.start(asked.version, policy, time.time(), reason))

    async def advance(self, request: Request) -> RolloutStatus:
        """Go on from the state that the body names, whatever was measured in it. The next has its gates as well."""
        asked = await self._asked(request, AdvanceRollout)
        reason = f"advanced {_by(request)}"
        return await self._move(lambda r: r.advanced(time.time(), reason, force=asked.force), asked)

    async def pause(self, request: Request) -> RolloutStatus:
        """Stay in the present state, or in the one that a body names. A breach still rolls back."""
        return await self._move(lambda r: r.with_pause(True), await self._seen(request))

    async def resume(self, request: Request) -> RolloutStatus:
        """Go on after a pause."""
        return await self._move(lambda r: r.with_pause(False), await self._seen(request))

    async def rollback(self, request: Request) -> RolloutStatus:
        """Take the candidate's share away, and the candidate out of quarantine. Blobs that it wrote stay readable."""
        reason, asked = f"rolled back {_by(request)}", await self._seen(request)
        seen = None if asked is None else asked.seen
        return await self._change(lambda: self._store.roll_back(time.time(), reason, seen))

    async def release(self, request: Request) -> RolloutStatus:
        """Take a version out of quarantine, where it came as it killed or hung what decoded with it."""
        asked = await self._asked(request, ReleaseVersion)
        reason = f"released {_by(request)}"

        def release() -> None:
            version = self._registry.resolve(asked.version)
            if not self._quarantine.release(version, reason, time.time()):
                raise RolloutError(f"{version[:12]} is not in quarantine")

        await asyncio.to_thread(release)
        return await asyncio.to_thread(self._status)

    async def recent(self, request: Request) -> Series:
        """Records, ratio and latency of each version over the last minutes."""
        if self._controller is None:
            raise RequestFailed(Failure("unavailable", "this server has no controller, which would know"))
        series: Series = await call_replica(self._controller.recent_series, deadline=self._deadline(request))
        return series

    async def _move(self, next_of: Callable[[Rollout], Rollout], seen: SeenRollout | None) -> RolloutStatus:
        return await self._change(lambda: self._store.change(next_of, None if seen is None else seen.seen))

    async def _change(self, change: Callable[[], Rollout]) -> RolloutStatus:
        if not self._follows:
            raise FixedVersion
        await asyncio.to_thread(change)
        return await asyncio.to_thread(self._status)

    def _status(self) -> RolloutStatus:
        rollout = self._store.read()  # first: the channel changes before the rollout says that it is stable
        now = route(self._version, self._registry.resolve(), rollout) if self._follows else Route(self._version)
        return RolloutStatus(
            follows=self._follows,
            shares=[Share(version=version, percent=percent) for version, percent in now.shares_percent.items()],
            rollout=None if rollout is None else RolloutView.of(rollout),
            policy=self._config.rollout,
            quarantined=list(self._quarantine.read().values()),
        )

    def _deadline(self, request: Request) -> float:
        return deadline_of(call_of(request).arrived, None, self._config.request_timeout_s)

    async def _body(self, request: Request) -> bytes:
        """The body: FastAPI would read all of it before it looks at the key."""
        call_of(request).deadline = self._deadline(request)
        return await self._incoming.read(request, MAX_BODY_BYTES)

    async def _asked(self, request: Request, model: type[M]) -> M:
        """What the body asks for. Raises BadWire."""
        fields = parse_object(await self._body(request), MAX_BODY_BYTES)
        try:
            return model.model_validate_json(dump(fields))
        except ValidationError as error:
            raise BadWire(problems(error.errors(), "body")) from error

    async def _seen(self, request: Request) -> SeenRollout | None:
        """Where the caller saw the rollout, if there is a body and it says so. Raises BadWire."""
        body = await self._body(request)
        if not body or not parse_object(body, MAX_BODY_BYTES):
            return None
        try:
            return SeenRollout.model_validate_json(body)
        except ValidationError as error:
            raise BadWire(problems(error.errors(), "body")) from error

    async def _local_only(self, request: Request) -> None:
        if self._config.is_open:
            raise Forbidden("other machines reach this server: its admin API needs API keys; see `nbmf api-key new`")
        check_origin(request, self._config.allowed_hosts)


def _by(request: Request) -> str:
    """By whom, for the history."""
    name = call_of(request).api_key
    return f"by hand, with API key {name}" if name else "by hand, over the admin API"
