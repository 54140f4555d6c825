"""Around every HTTP request: its id, always an answer, and its line in the log."""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import CancelledError
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nbmf import protocol
from serve_app.http.answers import fault
from serve_app.observe import calls, request_ids, request_lines
from serve_app.observe.calls import Call
from serve_app.observe.metrics import service_metrics

_SMALL_BYTES = 64 * 1024
_REST_S = 1.0
"""A small body that an answer did not wait for is read for so long, so that the connection can stay."""
_REST_BYTES = 16 * 1024 * 1024
"""Of a larger one so much, for as long, after the answer: it may be lost where a connection ends amid a body."""


class RequestLog:
    """ASGI middleware: a request gets its Call and its id, always an answer, and its line if `enabled`."""

    def __init__(self, app: ASGIApp, *, routes: Collection[str], enabled: bool) -> None:
        self._app = app
        self._routes = routes
        self._enabled = enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received_id = Headers(scope=scope).get(protocol.REQUEST_ID)
        call = Call(request_ids.request_id(received_id), time.time())
        calls.begin(scope, call)
        started = time.perf_counter()

        whole, closes = not _length(scope), False

        async def counted_receive() -> Message:
            nonlocal whole
            message = await receive()
            call.bytes_in += len(message.get("body", b""))
            whole = whole or not message.get("more_body", False)
            return message

        async def rest() -> None:
            most = call.bytes_in + _REST_BYTES
            with suppress(TimeoutError):
                async with asyncio.timeout(_REST_S):
                    while (await counted_receive())["type"] == "http.request" and not whole and call.bytes_in < most:
                        pass

        async def counted_send(message: Message) -> None:
            nonlocal closes
            if message["type"] == "http.response.start":
                call.status = message["status"]
                if not whole and _length(scope) <= _SMALL_BYTES:
                    await rest()
                closes = not whole
                if closes:  # the server would read on for as long as the client sends
                    MutableHeaders(scope=message).append("Connection", "close")
                # Serve itself answers with the id that a request came with, and gives one to those without.
                if call.request_id != received_id:
                    MutableHeaders(scope=message).append(protocol.REQUEST_ID, call.request_id)
            call.bytes_out += len(message.get("body", b""))
            if closes and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await rest()
                message = {"type": "http.response.body"}
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        except CancelledError:
            call.code = "cancelled"
            raise
        except ClientDisconnect:  # before its body was complete
            call.code = "cancelled"
        except Exception as error:
            if call.status is not None:
                raise
            await fault(Request(scope), error)(scope, receive, counted_send)
        finally:
            duration_s = time.perf_counter() - started
            route = scope["path"] if scope["path"] in self._routes else None
            service_metrics().request(call, route, duration_s)
            if self._enabled:
                request_lines.write(call, scope["method"], route, duration_s)


def _length(scope: Scope) -> float:
    """Bytes of the body, as the client says; infinite where it does not."""
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return math.inf
    declared = headers.get("content-length", "0")
    return float(declared) if declared.isdecimal() else math.inf
