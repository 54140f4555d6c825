"""The client for threads."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterable, Sequence
from functools import partial
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


class Client:
    """A client of a service, for any number of threads. It keeps connections; close it, or use it with `with`.

    `url` and `api_key` are else those of NBMF_URL and NBMF_API_KEY. A call ends after `timeout_s`, with all its
    retries; the service is told, and drops what nobody waits for any more. Requests are sent again, see
    RetryPolicy, when the service is overloaded or a connection is lost: encoding and decoding twice does no harm.
    Batches are sent in parts of at most `max_batch_records` and about `max_batch_bytes`, and in smaller ones where an
    answer has more than `max_answer_bytes`, of which no more is read.

    >>> with Client("http://localhost:8000") as client:
    ...     blob = client.encode("Remember the milk.", key="agent-7/note-1")
    ...     client.decode(blob)
    'Remember the milk.'
    """

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
        transport: httpx.BaseTransport | None = None,
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
        self._open = partial(
            httpx.Client, base_url=service.url, headers=service.headers, verify=verify, transport=transport
        )
        self._http, self._process = self._open(), os.getpid()

    def encode(
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
        """The blob of a payload: str, bytes, a numpy float array, or any JSON value.

        Fidelity "semantic" permits near vectors in place of its own, as near as the service is configured to keep them,
        and nothing else. `key` is the record's in its store: one key stays with one codec version. Without `effort`
        and `latency_budget_ms` the service's own count. `default` is that of `nbmf.encode`, and is called here. Raises
        UnsupportedPayload (a TypeError that names the path), PayloadTooLarge, ServiceError.
        """
        return self._run(self._calls.encode(payload, fidelity, key, effort, latency_budget_ms, timeout_s, default))

    def decode(
        self, blob: AnyBlob, *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> Payload:
        """The payload of a blob of any version that the service has; `object_hook` is that of `nbmf.decode`.

        Of a dict blob too, as `nbmf.compat.decode` gives it. Raises BlobError, DamagedStubBlob, UnknownCodec,
        ServiceError.
        """
        return self._run(self._calls.decode(blob, timeout_s, object_hook))

    def encode_batch(
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
        """A blob, or the error that `encode` raises, for each payload, in order.

        Raises ServiceError if nothing could be done; where that happens after a part of the batch was done, the
        error is the result of each record that remains.
        """
        return self._run(
            self._calls.encode_batch(payloads, fidelity, keys, effort, latency_budget_ms, timeout_s, default)
        )

    def encode_measured(
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
        """As `encode_batch`, with what was changed of each payload, as the service measured it.

        >>> (coded,) = client.encode_measured([{"text": "Remember the milk.", "embedding": vector}], "semantic")
        >>> coded.blob, coded.changed.vectors, coded.changed.cosine_mean, coded.changed.cosine_min

        `changed` is None where the blob decodes to the payload as it was; its `lossless_bytes` are None, as a service
        does not tell them.
        """
        return self._run(
            self._calls.encode_measured(
                payloads, fidelity, keys, effort, latency_budget_ms, timeout_s, default, coded_of
            )
        )

    def decode_batch(
        self, blobs: Iterable[AnyBlob], *, object_hook: ObjectHook | None = None, timeout_s: float | None = None
    ) -> list[Payload | NbmfError]:
        """A payload, or the error that `decode` raises, for each blob, in order; as `encode_batch`."""
        return self._run(self._calls.decode_batch(blobs, timeout_s, object_hook))

    def versions(self, *, timeout_s: float | None = None) -> list[Version]:
        """The codec versions of the service's registry. Raises ServiceError."""
        return self._run(self._calls.versions(timeout_s))

    def health(self, *, timeout_s: float | None = None) -> Health:
        """Whether the service answers, and its encoder and decoder do. Asks once."""
        return self._run(self._calls.health(timeout_s))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Call[T]) -> T:
        outcome: Answer | ServiceError | None = None
        try:
            while True:
                step = call.send(outcome)
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = self._send(step)
        except StopIteration as done:
            result: T = done.value
            return result

    def _send(self, step: Send) -> Answer | ServiceError:
        if self._process != os.getpid():  # forked: the connections are the parent's
            self._http, self._process = self._open(), os.getpid()
        deadline = time.monotonic() + step.timeout_s
        try:
            response = self._http.send(self._service.request(self._http, step), stream=True)
            try:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > self._service.max_answer_bytes:
                        return self._service.answer_too_large(step)
                    if time.monotonic() > deadline:  # httpx only bounds the wait for each chunk
                        return time_over(step)
            finally:
                response.close()
        except httpx.HTTPError as error:
            return self._service.failure(error, step)
        return answer_of(response, bytes(content))
