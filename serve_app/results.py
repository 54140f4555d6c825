"""What encoder and decoder replicas give back for a record: bytes, or why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from nbmf.errors import NbmfError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """A record's error: `code` as in nbmf.errors, or `bad_request`."""

    code: str
    message: str

    @property
    def status(self) -> int:
        """The HTTP status of a request for this one record."""
        return _STATUS.get(self.code, 422)


# What is not here is a fault of the record: 422.
_STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "unknown_codec": 404,
    "version_not_found": 404,
    "payload_too_large": 413,
    "output_too_large": 413,
    "body_too_large": 413,
    "batch_too_large": 413,
    "unsupported_media_type": 415,
    "damaged_codec": 503,
    "unavailable": 503,
}


def attempt_each(function: Callable[[Any], T], items: Iterable[Any]) -> list[T | Failure]:
    """`function` of each item; an NbmfError concerns its item only."""
    results: list[T | Failure] = []
    for item in items:
        try:
            results.append(function(item))
        except NbmfError as error:
            results.append(Failure(error.code, str(error)))
    return results
