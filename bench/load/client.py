"""The client: an event loop that sends each request when it is due, however many are still unanswered."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from bench.load.arrivals import Arrival, Operation
from bench.load.bodies import PATHS, Exchange, decode_body
from bench.load.step import OK, UNANSWERED, Outcome
from bench.records import NotEqual
from nbmf.errors import NbmfError
from nbmf.protocol import RETRY_AFTER_S

_TIMEOUT = aiohttp.ClientTimeout(total=60)
_MAX_CONNECTIONS = 2000
"""More requests wait, which counts as their latency."""

_AT_ONCE = 4
"""Requests at a time while nothing is measured."""

_BUSY = (429, 503)
_MOST_REFUSED = 60
"""Times in a row that a request is refused while nothing is measured, before the service is said to fail."""


class ServiceFailed(NbmfError):
    """The service does not do what is to be measured."""

    code = "service_failed"


class LoadClient:
    """Connections to one service, and its answers for each record."""

    def __init__(self, url: str, session: aiohttp.ClientSession, records: list[Exchange]) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._records = records

    @classmethod
    async def open(cls, url: str, api_key: str | None, records: list[Exchange]) -> LoadClient:
        """Ready to connect, from inside the event loop that it is used in."""
        _raise_file_limit()
        headers = {"Content-Type": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        connector = aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, keepalive_timeout=60)
        return cls(url, aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, headers=headers), records)

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()

    async def prepare(self) -> None:
        """Encodes and decodes every record, untimed. Raises ServiceFailed, NotEqual."""

        async def one(record: Exchange) -> None:
            answer = await self._must("encode", record.encode)
            record.learn(answer)
            if not record.accept("decode", await self._must("decode", record.decode)):
                raise NotEqual(f"{self._url}: a record was not decoded as it was encoded; nothing was measured")

        await _each(one, self._records)

    async def verify(self) -> int:
        """Decodes the blobs that differ from those of `prepare`; how many are of another payload."""
        wrong = 0

        async def one(record: Exchange) -> None:
            nonlocal wrong
            while record.to_verify:
                body = decode_body(record.to_verify.pop())
                wrong += not record.is_payload(await self._must("decode", body))

        await _each(one, self._records)
        return wrong

    async def run(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Sends all when they are due and waits for the answers."""
        tasks: list[asyncio.Task[Outcome]] = []
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for arrival in arrivals:
                wait_s = begin + arrival.at_s - time.perf_counter()
                # Also when it is late, answers must be taken in between.
                await asyncio.sleep(max(wait_s, 0))
                tasks.append(group.create_task(self._one(begin, arrival)))
        return [task.result() for task in tasks]

    async def _one(self, begin: float, arrival: Arrival) -> Outcome:
        record = self._records[arrival.record]
        sent = time.perf_counter() - begin
        try:
            status, answer = await self._post(arrival.operation, record.request(arrival.operation))
        except (aiohttp.ClientError, TimeoutError, OSError):
            status, answer = UNANSWERED, b""
        done = time.perf_counter() - begin
        unequal = status == OK and not record.accept(arrival.operation, answer)
        return Outcome(arrival.operation, arrival.at_s, sent, done, status, unequal)

    async def _must(self, operation: Operation, body: bytes) -> bytes:
        for _ in range(_MOST_REFUSED):
            try:
                status, answer = await self._post(operation, body)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ServiceFailed(f"{self._url} does not answer: {type(error).__name__}: {error}") from error
            if status not in _BUSY:
                break
            await asyncio.sleep(RETRY_AFTER_S)
        if status != OK:
            raise ServiceFailed(f"{self._url}{PATHS[operation]}: {status}: {answer[:300].decode(errors='replace')}")
        return answer

    async def _post(self, operation: Operation, body: bytes) -> tuple[int, bytes]:
        async with self._session.post(self._url + PATHS[operation], data=body) as answer:
            return answer.status, await answer.read()


async def _each(one: Callable[[Exchange], Awaitable[None]], records: Sequence[Exchange]) -> None:
    """Calls `one` for all records, a few at a time; ends with the first error."""
    remaining = iter(records)

    async def worker() -> None:
        for record in remaining:
            await one(record)

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


def _raise_file_limit() -> None:
    """Every connection is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + 200
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
