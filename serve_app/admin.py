"""The admin API: rollouts by hand, and what was measured lately.

A key comes in a header that no page of another origin can send unasked, and never in a cookie. A server without keys
takes admin requests only if it listens on a loopback address, and then none that a page of another origin sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Query, Request
from pydantic import ValidationError
from ray.serve.handle import DeploymentHandle

from cluster.config import problems
from cluster.registry import Registry
from nbmf.errors import NbmfError
from nbmf.wire import BadWire, dump
from serve_app import schemas
from serve_app.admin_schemas import History, RolloutStatus, RolloutView, Share, StartRollout, TransitionView
from serve_app.api_keys import Authenticator, Forbidden
from serve_app.bodies import BodyTooLarge, parse_object
from serve_app.calls import call_of
from serve_app.config import ServeConfig, is_loopback
from serve_app.deadlines import deadline_of, until
from serve_app.parameters import KNOWN_ONLY
from serve_app.recent import Series
from serve_app.replica_calls import call as call_replica
from serve_app.results import Failure, RequestFailed
from serve_app.rollout.policy import RolloutPolicy
from serve_app.rollout.split import Route, route
from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore

Endpoint: TypeAlias = Callable[..., Awaitable[Any]]
PREFIX = "/v1/admin"
MAX_BODY_BYTES = 64 * 1024

_START_SCHEMA = StartRollout.model_json_schema(ref_template="#/components/schemas/{model}")
_START_SCHEMA.pop("$defs")  # RolloutPolicy is among the page's schemas: answers have it
_START = {"requestBody": {"required": True, "content": {"application/json": {"schema": _START_SCHEMA}}}}


class FixedVersion(NbmfError):
    """The server serves one version that is named by its id, and takes no part in rollouts."""

    code = "fixed_version"

    def __init__(self) -> None:
        super().__init__("this server serves one fixed version; configure `version: stable` to roll others out")


class Admin:
    """Routes under /v1/admin, of a server that was deployed with this version."""

    def __init__(
        self, config: ServeConfig, registry: Registry, version: str, controller: DeploymentHandle[Any] | None
    ) -> None:
        self._config = config
        self._registry = registry
        self._store = RolloutStore(registry)
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
        add("POST", "/rollout/start", self.start, 404, 409, 413, openapi_extra=_START)
        for action in (self.advance, self.pause, self.resume, self.rollback):
            add("POST", f"/rollout/{action.__name__}", action, 409, 413)
        add("GET", "/recent", self.recent)

    async def rollout(self) -> RolloutStatus:
        """The latest rollout: its state, its gates with what was measured; and the share of each version."""
        return await asyncio.to_thread(self._status)

    async def history(
        self, limit: Annotated[int, Query(ge=1, le=1000, description="transitions, the newest")] = 100
    ) -> History:
        """Transitions of all rollouts, newest first, each with what was measured in the state before."""
        lines = await asyncio.to_thread(self._store.history)
        return History(transitions=[TransitionView.of(line) for line in lines[: -limit - 1 : -1]])

    async def start(self, request: Request) -> RolloutStatus:
        """Start a rollout: the candidate encodes a copy of some requests, and is measured."""
        fields = parse_object(await self._body(request))
        try:
            asked = StartRollout.model_validate_json(dump(fields))
            given = asked.policy.model_dump(exclude_unset=True) if asked.policy else {}
            policy = RolloutPolicy(**{**self._config.rollout.model_dump(), **given})
        except ValidationError as error:
            raise BadWire(problems(error.errors(), "body")) from error
        reason = f"started {_by(request)}"
        return await self._change(lambda: self._store.start(asked.version, policy, time.time(), reason))

    async def advance(self, request: Request) -> RolloutStatus:
        """Go to the next state now, whatever was measured. It has its gates as well."""
        await self._no_fields(request)
        reason = f"advanced {_by(request)}"
        return await self._change(lambda: self._store.change(lambda r: r.advanced(time.time(), reason)))

    async def pause(self, request: Request) -> RolloutStatus:
        """Stay in the present state. A breach still rolls back."""
        await self._no_fields(request)
        return await self._change(lambda: self._store.change(lambda r: r.with_pause(True)))

    async def resume(self, request: Request) -> RolloutStatus:
        """Go on after a pause."""
        await self._no_fields(request)
        return await self._change(lambda: self._store.change(lambda r: r.with_pause(False)))

    async def rollback(self, request: Request) -> RolloutStatus:
        """Take the candidate's share away. Blobs that it wrote stay readable."""
        await self._no_fields(request)
        reason = f"rolled back {_by(request)}"
        return await self._change(lambda: self._store.change(lambda r: r.rolled_back(time.time(), reason)))

    async def recent(self, request: Request) -> Series:
        """Records, ratio and latency of each version over the last minutes."""
        if self._controller is None:
            raise RequestFailed(Failure("unavailable", "this server has no controller, which would know"))
        series: Series = await call_replica(self._controller.recent_series, deadline=self._deadline(request))
        return series

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
        )

    def _deadline(self, request: Request) -> float:
        return deadline_of(call_of(request).arrived, None, self._config.request_timeout_s)

    async def _body(self, request: Request) -> bytes:
        """The body, counted while it arrives: FastAPI would read all of it before it looks at the key."""
        body = bytearray()
        async with until(self._deadline(request)):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"the body is over {MAX_BODY_BYTES} bytes")
        return bytes(body)

    async def _no_fields(self, request: Request) -> None:
        """Raises BadWire for a body that asks for anything."""
        body = await self._body(request)
        if body and (fields := parse_object(body)):
            raise BadWire(f"unknown fields: {', '.join(sorted(map(repr, fields)))}; there are none")

    async def _local_only(self, request: Request) -> None:
        if self._config.is_open:
            raise Forbidden("other machines reach this server: its admin API needs API keys; see `nbmf api-key new`")
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not is_loopback(_name(host)):
            raise Forbidden(f"without API keys the admin API is for this machine; {host!r} is not a name of it")
        if origin not in (None, f"http://{host}", f"https://{host}"):
            raise Forbidden("without API keys the admin API takes nothing that a page of another origin sends")


def _name(host: str) -> str:
    """Of a Host header, without its port; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _by(request: Request) -> str:
    """By whom, for the history."""
    name = call_of(request).api_key
    return f"by hand, with API key {name}" if name else "by hand, over the admin API"
