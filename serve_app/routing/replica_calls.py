"""Calls of replicas: bounded by a deadline, made once more if a part of the service is lost with the call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from nbmf.batches import bounded
from nbmf.errors import NbmfError
from serve_app.work.deadlines import until
from serve_app.work.lost_parts import described, is_lost
from serve_app.work.results import DOWN, Failure, RequestFailed

_ATTEMPTS = 2
"""Not more: a record that kills its replica would kill as many."""

_BUSY = Failure("overloaded", "the server has more requests than it can queue; try again later")

# Serve writes this logger's messages to the replica's log file.
_log = logging.getLogger("ray.serve")


async def call(method: Any, *arguments: Any, deadline: float) -> Any:
    """The answer of a handle's method. Encoding and decoding can be done twice without harm.

    Raises RequestFailed, also for a Failure of the whole call, and DeadlineExceeded.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with until(deadline):
                answer = await method.remote(*arguments)
        except NbmfError:
            raise
        except BackPressureError as error:
            raise RequestFailed(_BUSY) from error
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled() if isinstance(error, asyncio.CancelledError) else not is_lost(error):
                raise
            _log.warning("attempt %d of a call was lost: %s", attempt, described(error))
            if attempt == _ATTEMPTS or isinstance(error, DeploymentUnavailableError):
                raise RequestFailed(DOWN) from error
        else:
            if isinstance(answer, Failure):
                raise RequestFailed(answer)
            return answer
    raise AssertionError("the last attempt returns or raises")


async def call_in_parts(
    method: Any, items: Sequence[Any], sizes_bytes: Sequence[int], max_bytes: int, *arguments: Any, deadline: float
) -> list[Any]:
    """A result for each item, of calls that have `max_bytes` of items each, or one item: a message holds no more.

    Raises as `call`.
    """
    sized = zip(items, sizes_bytes, strict=True)
    parts = [[item for item, _ in part] for part in bounded(sized, itemgetter(1), None, max_bytes)]
    done = await asyncio.gather(*(call(method, part, *arguments, deadline=deadline) for part in parts))
    return [result for part in done for result in part]


def _is_cancelled() -> bool:
    """Whether the caller itself was cancelled, and not the call where it was in work, as by a replica that ends."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
