"""The client's process. It has an event loop of its own, so that nothing else delays when requests are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.arrivals import schedule
from bench.load.bodies import exchanges
from bench.load.client import LoadClient
from bench.load.step import summary
from nbmf.payload import Payload


@dataclass(frozen=True, slots=True)
class Target:
    """A service, and the key that it asks for."""

    url: str
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What is sent in a step."""

    rate_rps: float
    duration_s: float
    decode_share: float
    seed: int


_runner: asyncio.Runner
_client: LoadClient
_records: int


def start(target: Target, payloads: Sequence[Payload]) -> None:
    """Connects. To be called once, before the others."""
    global _runner, _client, _records
    _runner = asyncio.Runner()
    _records = len(payloads)
    _client = _runner.run(LoadClient.open(target.url, target.api_key, exchanges(payloads)))


def prepare() -> None:
    """LoadClient.prepare."""
    _runner.run(_client.prepare())


def run_step(step: Step) -> dict[str, Any]:
    """Sends a step's requests; its summary."""
    arrivals = schedule(step.rate_rps, step.duration_s, step.decode_share, _records, step.seed)
    return summary(step.rate_rps, step.duration_s, _runner.run(_client.run(arrivals)))


def finish() -> int:
    """LoadClient.verify, and the end of all connections."""
    try:
        return _runner.run(_client.verify())
    finally:
        _runner.run(_client.close())
        _runner.close()
