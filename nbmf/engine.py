"""Which engine codes batches of records, and on how many threads: a setting of the process.

Engines differ in speed alone: the blobs they write, and what they read, are the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from nbmf.errors import NbmfError

EngineName = Literal["auto", "cpu", "torch"]
"""cpu: compiled loops. torch: PyTorch for the network, on a GPU if there is one. auto: torch to encode large batches
where there is a GPU, else cpu. One record alone always goes by the compiled loops."""

NAME_VARIABLE = "NBMF_ENGINE"
THREADS_VARIABLE = "NBMF_THREADS"
MAX_THREADS = 1024


class EngineMissing(NbmfError):
    """What the engine is made with is not installed."""

    code = "engine_missing"


@dataclass(frozen=True, slots=True)
class Engine:
    """`threads` that a batch is shared among; the compiled loops hold no GIL. Raises ValueError, EngineMissing.

    `joins`: what several threads of the process decode at once is done side by side in `threads` loops, and not by each
    thread alone. A record then takes its share of the time with all others, and what is small does not wait for the
    large.
    """

    name: EngineName = "auto"
    threads: int = 1
    joins: bool = False

    def __post_init__(self) -> None:
        if self.name not in get_args(EngineName):
            raise ValueError(f"engine is one of {', '.join(get_args(EngineName))}, not {self.name!r}")
        if not 1 <= self.threads <= MAX_THREADS:
            raise ValueError(f"threads is a number from 1 to {MAX_THREADS}, not {self.threads}")
        if self.name == "torch" and find_spec("torch") is None:
            raise EngineMissing("engine torch needs PyTorch: `pip install 'nbmf[train]'`, or choose engine cpu")


_engine: Engine | None = None


def configure(name: EngineName = "auto", threads: int = 1, joins: bool = False) -> None:
    """Sets the engine of this process, in place of what the environment says. Raises ValueError, EngineMissing."""
    global _engine
    _engine = Engine(name, threads, joins)


def engine() -> Engine:
    """The engine in force. Raises ValueError if an environment variable has a value that is none, EngineMissing."""
    return _engine or _from_environment()


@cache
def _from_environment() -> Engine:
    threads = os.environ.get(THREADS_VARIABLE) or "1"
    if not (threads.isdecimal() and len(threads) <= 9):
        raise ValueError(f"{THREADS_VARIABLE} is a number of threads, not {threads[:80]!r}")
    return Engine(os.environ.get(NAME_VARIABLE) or "auto", int(threads))  # type: ignore[arg-type] # checked there
