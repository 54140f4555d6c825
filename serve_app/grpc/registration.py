"""Makes Serve's gRPC servers know the service: `grpc_servicer_functions` of Serve's options."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from nbmf import protocol
from serve_app.grpc.nbmf_pb2_grpc import add_CodecServicer_to_server

TIMEOUT_MS = protocol.TIMEOUT_MS.lower()
PATH = f"{__name__}.add_to_server"

_NO_DEADLINE_S = 1e9
"""gRPC says 9e18 for a call without one."""


def add_to_server(servicer: Any, server: Any) -> None:
    """Adds the service's methods, whose handlers Serve replaces by its own; around these go ours.

    A message that cannot be parsed comes to the method as what it is: gRPC would end the call as by a fault of ours.
    """
    serves_own = server.service_handler_factory

    def factory(*args: Any, **options: Any) -> Any:
        return telling_timeout(serves_own(*args, **options))

    server.service_handler_factory = factory
    try:
        add_CodecServicer_to_server(servicer, _ParsedLater(server))  # type: ignore[no-untyped-call]
    finally:
        server.service_handler_factory = serves_own


@dataclass(frozen=True, slots=True)
class Unparseable:
    """A request's message that is none of its type."""

    size_bytes: int

    def ByteSize(self) -> int:  # noqa: N802 - as a message's
        """Its size."""
        return self.size_bytes


def parsed_if_possible(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """The parser, which gives Unparseable for what it cannot parse."""

    def parse_or_not(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return Unparseable(len(data))

    return parse_or_not


class _ParsedLater:
    """A server to which handlers are added that never fail to parse."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        for handler in handlers:
            handler._method_handlers = _with_parsers(handler._method_handlers)
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self._server.add_registered_method_handlers(service, _with_parsers(handlers))


def _with_parsers(handlers: dict[str, Any]) -> dict[str, Any]:
    return {
        name: handler._replace(request_deserializer=parsed_if_possible(handler.request_deserializer))
        for name, handler in handlers.items()
    }


def telling_timeout(handler: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """The handler, told the call's timeout in metadata: Serve passes on metadata, but not the deadline."""

    async def handle(request: Any, context: Any) -> Any:
        return await handler(request, _Told(context))

    return handle


class _Told:
    """A call's context. Its metadata have the timeout, if the call has a deadline."""

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        """The client's metadata; the call's deadline takes the place of a timeout that they tell."""
        metadata = self._context.invocation_metadata() or ()
        left_s = self._context.time_remaining()
        if left_s is None or left_s > _NO_DEADLINE_S:
            return list(metadata)
        told = (TIMEOUT_MS, str(max(1, math.ceil(left_s * 1000))))
        return [*(pair for pair in metadata if pair[0] != TIMEOUT_MS), told]
