"""Says that something is wrong, but not for each record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

INTERVAL_S = 60
_log = logging.getLogger("nbmf.router")


@dataclass(frozen=True, slots=True)
class Alert:
    """What went wrong last, and how often something did since the alert before. `code` as in nbmf.errors."""

    code: str
    message: str
    count: int


class Alerts:
    """Calls a hook, and warns in the log of `nbmf.router`, at once and then once a minute at most."""

    def __init__(self, hook: Callable[[Alert], object] | None, clock: Callable[[], float]) -> None:
        self._hook = hook
        self._clock = clock
        self._lock = Lock()
        self._last: float | None = None
        self._count = 0

    def add(self, code: str, message: str) -> None:
        """What the hook raises is logged: it is not to lose a record."""
        with self._lock:
            self._count += 1
            now = self._clock()
            if self._last is not None and now - self._last < INTERVAL_S:
                return
            alert = Alert(code, message, self._count)
            self._last, self._count = now, 0
        _log.warning("%s (%s; %d since the last such warning)", alert.message, alert.code, alert.count)
        if self._hook is not None:
            try:
                self._hook(alert)
            except Exception:
                _log.exception("the alert hook failed")
