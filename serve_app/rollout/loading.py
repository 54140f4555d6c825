"""Replicas load the versions of a rollout before a request needs them, and say so to the controller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ray.serve.handle import DeploymentHandle

from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore

POLL_S = 0.5

_log = logging.getLogger("ray.serve")


class Loader:
    """Calls `load` once for each version that a rollout brings. The constructor does so for the present one."""

    def __init__(self, store: RolloutStore, load: Callable[[str], None]) -> None:
        self._store = store
        self._load = load
        self._failures: dict[str, str | None] = {}
        self.look()

    def look(self) -> tuple[str, str | None] | None:
        """(candidate of the active rollout, why it could not be loaded); None when there is none.

        A registry that cannot be read now is read again the next time.
        """
        try:
            rollout = self._store.read()
        except Exception as error:
            _log.warning("the rollout cannot be read: %s", error)
            return None
        for version in _wanted(rollout):
            if version not in self._failures:
                self._failures[version] = self._attempt(version)
        if rollout is None or not rollout.is_active:
            return None
        return rollout.candidate, self._failures[rollout.candidate]

    def _attempt(self, version: str) -> str | None:
        try:
            self._load(version)
        except Exception as error:
            _log.warning("version %s cannot be loaded: %s: %s", version[:12], type(error).__name__, error)
            return f"{type(error).__name__}: {error}"
        return None

    async def run(self, role: str, controller: DeploymentHandle[Any]) -> None:
        """Looks again and again, and tells the controller what this replica has."""
        from ray import serve

        replica = serve.get_replica_context().replica_id.unique_id
        while True:
            found = await asyncio.to_thread(self.look)
            if found is not None:
                try:
                    await controller.loaded.remote(role, replica, *found)
                except Exception as error:
                    _log.warning("the rollout's controller does not answer: %s", type(error).__name__)
            await asyncio.sleep(POLL_S)


def _wanted(rollout: Rollout | None) -> list[str]:
    if rollout is None:
        return []
    if rollout.is_active:
        return [rollout.stable, rollout.candidate]
    return [rollout.candidate if rollout.state == "stable" else rollout.stable]
