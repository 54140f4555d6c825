"""The client for asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Self, TypeVar

import httpx

from nbmf.client.calls import Call, Send, Wait
from nbmf.client.errors import ServiceError
from nbmf.client.interface import AnyBlob, Health, Version
from nbmf.client.messages import Answer, coded_of
from nbmf.client.retries import RetryPolicy
from nbmf.client.transport import HttpService, answer_of, time_over
from nbmf.effort import Effort
from nbmf.errors import NbmfError
from nbmf.hooks import Default, ObjectHook
from nbmf.payload import Fidelity, Payload
from nbmf.vectors.changed import Coded

T = TypeVar("T")


class AsyncClient:
    """As Client, with `await` and `async with`, for any number of tasks of one asyncio loop."""

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        retries: RetryPolicy | None = None,
        max_batch_records: int = 256,
        max_batch_bytes: int = 4 * 1024 * 1024,
        max_answer_bytes: int = 256 * 1024 * 1024,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        service = HttpService(
            url,
            api_key,
            timeout_s,
            connect_timeout_s,
            retries,
            max_batch_records,
            max_batch_bytes,
            max_answer_bytes,
        )
        self._service, self._calls = service, service.calls
        self._http = httpx.AsyncClient(
            base_url=service.url, headers=service.headers, verify=verify, transport=transport
        )

    async def encode(
        self,
        payload: Payload,
        fidelity: Fidelity = "lossless",
        *,
        key: str | None = None,
        effort: Effort | None = None,
        latency_budget_ms: float | None = None,
        default: Default | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """As Client.encode."""
        return await self._run(
            self._calls.encode(payload, fidelity, key, effort, latency_budget_ms, timeout_s, default)
        )

    async def decode(
        self, blob: AnyBlob, *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> Payload:
        """As Client.decode."""
        return await self._run(self._calls.decode(blob, timeout_s, object_hook))

    async def encode_batch(
        self,
        payloads: Iterable[Payload],
        fidelity: Fidelity = "lossless",
        *,
        keys: Sequence[str | None] | None = None,
        effort: Effort | None = None,
        latency_budget_ms: float | None = None,
        default: Default | None = None,
        timeout_s: float | None = None,
    ) -> list[bytes | NbmfError]:
        """As Client.encode_batch."""
        return await self._run(
            self._calls.encode_batch(payloads, fidelity, keys, effort, latency_budget_ms, timeout_s, default)
        )

    async def encode_measured(
        self,
        payloads: Iterable[Payload],
        fidelity: Fidelity = "lossless",
        *,
        keys: Sequence[str | None] | None = None,
        effort: Effort | None = None,
        latency_budget_ms: float | None = None,
        default: Default | None = None,
        timeout_s: float | None = None,
    ) -> list[Coded | NbmfError]:
        """As Client.encode_measured."""
        return await self._run(
            self._calls.encode_measured(
                payloads, fidelity, keys, effort, latency_budget_ms, timeout_s, default, coded_of
            )
        )

    async def decode_batch(
        self, blobs: Iterable[AnyBlob], *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> list[Payload | NbmfError]:
        """As Client.decode_batch."""
        return await self._run(self._calls.decode_batch(blobs, timeout_s, object_hook))

    async def versions(self, *, timeout_s: float | None = None) -> list[Version]:
        """As Client.versions."""
        return await self._run(self._calls.versions(timeout_s))

    async def health(self, *, timeout_s: float | None = None) -> Health:
        """As Client.health."""
        return await self._run(self._calls.health(timeout_s))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, call: Call[T]) -> T:
        outcome = None
        try:
            while True:
                step = call.send(outcome)
                outcome = await (asyncio.sleep(step.seconds) if isinstance(step, Wait) else self._send(step))
        except StopIteration as done:
            result: T = done.value
            return result

    async def _send(self, step: Send) -> Answer | ServiceError:
        try:
            async with asyncio.timeout(step.timeout_s):
                response = await self._http.send(self._service.request(self._http, step), stream=True)
                try:
                    content = bytearray()
                    async for chunk in response.aiter_bytes():
                        content += chunk
                        if len(content) > self._service.max_answer_bytes:
                            return self._service.answer_too_large(step)
                finally:
                    await response.aclose()
        except httpx.HTTPError as error:
            return self._service.failure(error, step)
        except TimeoutError:
            return time_over(step)
        return answer_of(response, bytes(content))
