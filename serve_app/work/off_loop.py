"""Work on large bodies, in threads: on the event loop everybody's requests would wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

LARGE_BYTES = 32 * 1024
"""Less takes a millisecond or so; handing it to a thread and back takes a tenth of that."""

_threads = ThreadPoolExecutor(4, thread_name_prefix="bodies")
"""Of their own: what else a replica does in threads need not wait for bodies."""


async def off_loop(size_bytes: int, function: Callable[..., T], *arguments: Any) -> T:
    """What the function gives; done in a thread if so many bytes are large."""
    if size_bytes < LARGE_BYTES:
        return function(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(function, *arguments))
