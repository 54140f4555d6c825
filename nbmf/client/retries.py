"""When a request is sent again, and how long after."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from nbmf.client.errors import ClientConfigError, Unavailable
from nbmf.errors import NbmfError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Up to `max_retries` more requests, after pauses drawn evenly from 0 to `first_pause_s`, doubled each time.

    A pause is at most `longest_pause_s`, and comes after what the service asks for with Retry-After.
    """

    max_retries: int = 4
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0

    def __post_init__(self) -> None:
        if not (self.max_retries >= 0 and self.first_pause_s >= 0 and self.longest_pause_s >= 0):
            raise ClientConfigError(f"what a retry policy holds is 0 or more: {self}")

    def pause_s(self, error: NbmfError, retries: int, retry_after_s: float) -> float | None:
        """How long to wait after this error and so many retries; None if the request is not to be sent again."""
        if not isinstance(error, Unavailable) or retries >= self.max_retries:
            return None
        # Full jitter: clients that failed together do not come back together. 2**64 pauses are beyond any float limit.
        longest_s = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(retries, 64))
        return retry_after_s + random.uniform(0, longest_s)  # noqa: S311


def retry_after_s(headers: Mapping[str, str]) -> float:
    """What the header Retry-After, in seconds or as a date, asks for; 0 if it says nothing that can be understood."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
