"""Calls of replicas: bounded by a deadline, made once more if the replica dies with the call."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve_app.deadlines import until
from serve_app.results import Failure, RequestFailed

_ATTEMPTS = 2
"""Not more: a record that kills its replica would kill as many."""

_DOWN = Failure("unavailable", "the part of the server that does this is down; try again later")
_BUSY = Failure("overloaded", "the server has more requests than it can queue; try again later")


async def call(method: Any, *arguments: Any, deadline: float) -> Any:
    """The answer of a handle's method. Encoding and decoding can be done twice without harm.

    Raises RequestFailed, also for a Failure of the whole call, and DeadlineExceeded.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with until(deadline):
                answer = await method.remote(*arguments)
        except BackPressureError as error:
            raise RequestFailed(_BUSY) from error
        except DeploymentUnavailableError as error:
            raise RequestFailed(_DOWN) from error
        except RayActorError as error:
            if attempt == _ATTEMPTS:
                raise RequestFailed(_DOWN) from error
        else:
            if isinstance(answer, Failure):
                raise RequestFailed(answer)
            return answer
    raise AssertionError("the last attempt returns or raises")
