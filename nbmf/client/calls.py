"""Calls without I/O: generators that yield what is to be sent or waited for, and are sent what came of it.

`Client` and `AsyncClient` drive the same ones; deadlines, retries and the cutting of batches are all here.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from nbmf import protocol
from nbmf.client import messages
from nbmf.client.errors import ClientConfigError, DeadlineExceeded, RequestTooLarge, ServiceError
from nbmf.client.interface import AnyBlob, Health, Version, check_keys, check_options
from nbmf.client.messages import Answer, Request
from nbmf.client.retries import RetryPolicy, retry_after_s
from nbmf.effort import Effort
from nbmf.errors import NbmfError, attempt
from nbmf.hooks import Default, ObjectHook
from nbmf.payload import Fidelity, Payload

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """To be sent now; what comes of it, an Answer or a ServiceError, is wanted within `timeout_s`."""

    request: Request
    request_id: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause."""

    seconds: float


Call: TypeAlias = Generator[Send | Wait, Answer | ServiceError | None, T]

_ONCE = RetryPolicy(max_retries=0)
_MAX_TIMEOUT_S = 1_000_000
"""A socket cannot wait for 2**31 ms or more."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a client with these options."""

    timeout_s: float
    retries: RetryPolicy
    max_batch_records: int
    max_batch_bytes: int

    def __post_init__(self) -> None:
        _check_timeout(self.timeout_s, ClientConfigError)
        for name in ("max_batch_records", "max_batch_bytes"):
            if not getattr(self, name) > 0:
                raise ClientConfigError(f"{name} is a positive number, not {getattr(self, name)!r}")

    def encode(
        self,
        payload: Payload,
        fidelity: Fidelity,
        key: str | None,
        effort: Effort | None,
        latency_budget_ms: float | None,
        timeout_s: float | None,
        default: Default | None = None,
    ) -> Call[bytes]:
        """As CodecClient.encode."""
        deadline = self._deadline(timeout_s)
        check_options(fidelity, effort, latency_budget_ms)
        body = messages.record_json(payload, key, fidelity, default)
        request = Request(protocol.ENCODE, body, messages.effort_parameters(effort, latency_budget_ms))
        answer = yield from _ask(request, deadline, self.retries)
        return messages.blob_of(messages.fields_of(answer), answer)

    def decode(self, blob: AnyBlob, timeout_s: float | None, object_hook: ObjectHook | None = None) -> Call[Payload]:
        """As CodecClient.decode."""
        deadline = self._deadline(timeout_s)
        request = Request(protocol.DECODE, b'{"blob":' + messages.blob_json(blob) + b"}")
        answer = yield from _ask(request, deadline, self.retries)
        return messages.payload_of(messages.fields_of(answer), answer, object_hook)

    def encode_batch(
        self,
        payloads: Iterable[Payload],
        fidelity: Fidelity,
        keys: Sequence[str | None] | None,
        effort: Effort | None,
        latency_budget_ms: float | None,
        timeout_s: float | None,
        default: Default | None = None,
    ) -> Call[list[bytes | NbmfError]]:
        """As CodecClient.encode_batch."""
        coded = yield from self.encode_measured(
            payloads, fidelity, keys, effort, latency_budget_ms, timeout_s, default, messages.blob_of
        )
        return coded

    def encode_measured(
        self,
        payloads: Iterable[Payload],
        fidelity: Fidelity,
        keys: Sequence[str | None] | None,
        effort: Effort | None,
        latency_budget_ms: float | None,
        timeout_s: float | None,
        default: Default | None,
        read: Callable[[dict[str, Any], Answer], T],
    ) -> Call[list[T | NbmfError]]:
        """As CodecClient.encode_measured, with what `read` takes from each result."""
        deadline = self._deadline(timeout_s)
        check_options(fidelity, effort, latency_budget_ms)
        payloads = list(payloads)
        named = zip(payloads, check_keys(keys, len(payloads)), strict=True)
        items = [attempt(messages.record_json, payload, key, fidelity, default) for payload, key in named]
        parameters = messages.effort_parameters(effort, latency_budget_ms)

        def request(part: list[bytes]) -> Request:
            return Request(protocol.ENCODE, messages.batch_body("records", part), parameters)

        return (yield from self._batch(items, request, read, deadline))

    def decode_batch(
        self, blobs: Iterable[AnyBlob], timeout_s: float | None, object_hook: ObjectHook | None = None
    ) -> Call[list[Payload | NbmfError]]:
        """As CodecClient.decode_batch."""
        deadline = self._deadline(timeout_s)
        items: list[bytes | NbmfError] = [messages.blob_json(blob) for blob in blobs]

        def request(part: list[bytes]) -> Request:
            return Request(protocol.DECODE, messages.batch_body("blobs", part))

        return (yield from self._batch(items, request, partial(messages.payload_of, object_hook=object_hook), deadline))

    def versions(self, timeout_s: float | None) -> Call[list[Version]]:
        """As CodecClient.versions."""
        answer = yield from _ask(Request(protocol.VERSIONS), self._deadline(timeout_s), self.retries)
        return messages.versions_of(answer)

    def health(self, timeout_s: float | None) -> Call[Health]:
        """As CodecClient.health; asked once."""
        try:
            yield from _ask(Request(protocol.HEALTH), self._deadline(timeout_s), _ONCE)
        except ServiceError as error:
            return Health(False, str(error))
        return Health(True)

    def _deadline(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            timeout_s = self.timeout_s
        _check_timeout(timeout_s, ValueError)
        return monotonic() + timeout_s

    def _batch(
        self,
        items: Sequence[bytes | NbmfError],
        request: Callable[[list[bytes]], Request],
        read: Callable[[dict[str, Any], Answer], T],
        deadline: float,
    ) -> Call[list[T | NbmfError]]:
        """Results in order. An error that ends a request ends the call while nothing is done; later it is the result
        of the records that remain. A part that the service finds too large is halved."""
        results: list[Any] = list(items)
        parts = deque(self._parts(items))
        answered = False
        while parts:
            part = parts.popleft()
            try:
                body = request([results[index] for index in part])
                answer = yield from _ask(body, deadline, self.retries)
                rows = messages.results_of(answer, len(part))
            except RequestTooLarge as error:
                if len(part) > 1:
                    middle = len(part) // 2
                    parts.extendleft((part[middle:], part[:middle]))
                    continue
                results[part[0]] = error
            except NbmfError as error:
                if not answered:
                    raise
                for index in (*part, *(index for later in parts for index in later)):
                    results[index] = error
                break
            else:
                for index, row in zip(part, rows, strict=True):
                    results[index] = attempt(read, row, answer)
            answered = True
        return results

    def _parts(self, items: Sequence[bytes | NbmfError]) -> list[list[int]]:
        """Indices of the items that can be sent, cut at the limits; one over the limit of bytes goes alone."""
        parts: list[list[int]] = []
        size = 0
        for index, item in enumerate(items):
            if isinstance(item, NbmfError):
                continue
            size += len(item) + 1
            if not parts or len(parts[-1]) == self.max_batch_records or size > self.max_batch_bytes:
                parts.append([])
                size = len(item) + 1
            parts[-1].append(index)
        return parts


def _check_timeout(timeout_s: float, error: type[ValueError]) -> None:
    if not 0 < timeout_s <= _MAX_TIMEOUT_S:
        raise error(f"timeout_s is a positive number, at most {_MAX_TIMEOUT_S}, not {timeout_s!r}")


def _ask(request: Request, deadline: float, policy: RetryPolicy) -> Call[Answer]:
    """The answer with status 200, after retries if need be. Raises the error of another, or of the last try."""
    request_id = uuid.uuid4().hex
    retries = 0
    while True:
        left_s = deadline - monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("the call's time is over; give it more with timeout_s", request_id=request_id)
        outcome = yield Send(request, request_id, left_s)
        if isinstance(outcome, Answer):
            if outcome.status == 200:
                return outcome
            error, asked_s = messages.failure_of(outcome), retry_after_s(outcome.headers)
        else:
            assert outcome is not None  # noqa: S101
            error, asked_s = outcome, 0.0
        pause_s = policy.pause_s(error, retries, asked_s)
        if pause_s is None or monotonic() + pause_s >= deadline:
            raise error
        yield Wait(pause_s)
        retries += 1
