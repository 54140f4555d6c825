"""When each request of a step is sent, and what it is: a Poisson process, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Operation: TypeAlias = Literal["encode", "decode"]
OPERATIONS: tuple[Operation, Operation] = ("encode", "decode")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request: seconds after the step's beginning, operation, and number of the record."""

    at_s: float
    operation: Operation
    record: int


def schedule(rate_rps: float, duration_s: float, decode_share: float, records: int, seed: int) -> list[Arrival]:
    """Arrivals of independent clients in `duration_s`, on average `rate_rps` a second."""
    random = np.random.default_rng(seed)
    count = random.poisson(rate_rps * duration_s)
    # Given their number, a Poisson process's arrivals are uniform and independent.
    times = np.sort(random.uniform(0, duration_s, count))
    decodes = random.random(count) < decode_share
    chosen = random.integers(records, size=count)
    return [
        Arrival(float(at), OPERATIONS[int(decode)], int(record))
        for at, decode, record in zip(times, decodes, chosen, strict=True)
    ]
