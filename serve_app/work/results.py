"""What encoder and decoder replicas give back for a record: bytes, or why not."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nbmf import protocol
from nbmf.batches import attempt_all
from nbmf.errors import NbmfError
from serve_app.work.lost_parts import described, is_lost

T = TypeVar("T")

# Serve writes this logger's messages to the replica's log file.
_log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class Failure:
    """A record's error: `code` as in nbmf.errors, `bad_request`, or `internal_error` for what nobody foresaw."""

    code: str
    message: str

    @property
    def status(self) -> int:
        """The HTTP status of a request for this one record."""
        return protocol.status_of(self.code)


class RequestFailed(Exception):
    """The whole request ends with this failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


DOWN = Failure("unavailable", "the part of the server that does this is down; try again later")


def log_fault(what: str, error: Exception) -> None:
    """Tells where in the program an error was raised; not its message, which may quote a payload."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s: %s\n%s", what, type(error).__name__, frames)


def fault_of(request_id: str, error: Exception) -> Failure:
    """The failure of a request after an error that nobody foresaw, which goes to the log."""
    if is_lost(error):
        _log.warning("request %s: %s", request_id, described(error))
        return DOWN
    log_fault(f"request {request_id}", error)
    return Failure("internal_error", f"a fault of the server: {type(error).__name__}; see its log")


def attempt_each(function: Callable[[Any], T], items: Sequence[Any]) -> list[T | Failure]:
    """`function` of each item; an NbmfError concerns its item only. Items that are failures stay what they are."""
    results: list[T | Failure] = []
    for item in items:
        if isinstance(item, Failure):
            results.append(item)
            continue
        try:
            results.append(function(item))
        except NbmfError as error:
            results.append(failure_of(error))
    return results


def attempt_batch(function: Callable[[list[Any]], Sequence[T | NbmfError]], items: Sequence[Any]) -> list[T | Failure]:
    """`function` of all items in one call; if that raises, of one after the other, so that a fault is one item's only.

    Items that are failures stay what they are.
    """
    good = [item for item in items if not isinstance(item, Failure)]
    done = iter(attempt_all(function, good, _failed))
    results = (item if isinstance(item, Failure) else next(done) for item in items)
    return [failure_of(one) if isinstance(one, NbmfError) else one for one in results]


def _failed(_item: Any, error: Exception) -> NbmfError | Failure:
    if isinstance(error, NbmfError):
        return error
    log_fault("a record could not be coded", error)
    return Failure("internal_error", f"the record could not be coded: {type(error).__name__}; see the log")


def failure_of(error: NbmfError) -> Failure:
    """The failure of what ended with this error."""
    return Failure(error.code, str(error))
