"""Decoder replicas load the versions of a rollout before a blob names them, and say so to the controller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from ray.serve.handle import DeploymentHandle

from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore

POLL_S = 0.5

_Wanted: TypeAlias = tuple[str, bool]
"""A version, and whether it is trusted."""

_log = logging.getLogger("ray.serve")


class Loader:
    """Calls `load` once for each version that a rollout brings, and `release` when a later one does without it.

    Both are told whether the version is trusted: not a candidate, which is loaded once more when it becomes stable. The
    constructor does so for the present one.
    """

    def __init__(
        self, store: RolloutStore, load: Callable[[str, bool], None], release: Callable[[str, bool], None]
    ) -> None:
        self._store = store
        self._load = load
        self._release = release
        self._failures: dict[_Wanted, tuple[str | None, str | None]] = {}
        self.look()

    def look(self) -> tuple[str, str | None] | None:
        """(id of the active rollout, why its candidate could not be loaded); None when there is none.

        A registry that cannot be read now is read again the next time; a version that could not be loaded is tried
        again by the next rollout.
        """
        try:
            rollout = self._store.read()
        except Exception as error:
            _log.warning("the rollout cannot be read: %s", error)
            return None
        of = rollout.id if rollout else None
        wanted = _wanted(rollout)
        for version in wanted:
            tried_for, failure = self._failures.get(version, (None, ""))
            if failure is not None and tried_for != of:
                self._failures[version] = (of, self._attempt(*version))
        for version in self._failures.keys() - set(wanted):
            del self._failures[version]
            self._release(*version)
        if rollout is None or not rollout.is_active:
            return None
        return rollout.id, self._failures[rollout.candidate, False][1]

    def _attempt(self, version: str, trusted: bool) -> str | None:
        try:
            self._load(version, trusted)
        except Exception as error:
            _log.warning("version %s cannot be loaded: %s: %s", version[:12], type(error).__name__, error)
            return f"{type(error).__name__}: {error}"
        return None

    async def run(self, controller: DeploymentHandle[Any]) -> None:
        """Looks again and again, and tells the controller what this replica has."""
        from ray import serve

        replica = serve.get_replica_context().replica_id.unique_id
        while True:
            found = await asyncio.to_thread(self.look)
            if found is not None:
                try:
                    await controller.loaded.remote(replica, *found)
                except Exception as error:
                    _log.warning("the rollout's controller does not answer: %s", type(error).__name__)
            await asyncio.sleep(POLL_S)


def _wanted(rollout: Rollout | None) -> list[_Wanted]:
    if rollout is None:
        return []
    if rollout.is_active:
        return [(rollout.stable, True), (rollout.candidate, False)]
    return [(rollout.candidate if rollout.state == "stable" else rollout.stable, True)]
