"""The deployment that judges: gathers what ingress and replicas report, and takes the rollout on or back."""

from __future__ import annotations

import logging
import threading
import time
import uuid

from cluster.registry import Registry
from serve_app.rollout.measurements import Measurements
from serve_app.rollout.store import RolloutStore

ROLES = ("Encoder", "Decoder")
"""Deployments whose replicas must all have loaded a candidate before it gets a share."""

_EVERY_S = 1.0
_LEASE_S = 10.0
_REPORT_LASTS_S = 5.0

_log = logging.getLogger("ray.serve")


class RolloutController:
    """One replica a service; of several services on a registry, the holder of the lease decides."""

    def __init__(self, registry: str, application: str) -> None:
        self._store = RolloutStore(Registry(registry))
        self._application = application
        self._holder = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], Measurements] = {}
        self._loaded: dict[tuple[str, str], tuple[str, float]] = {}
        self._failure: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def measured(self, rollout: str, round_: int, measurements: Measurements) -> None:
        """Takes what an ingress counted in one round of a rollout since it last did so."""
        with self._lock:
            self._pending.setdefault((rollout, round_), Measurements()).add(measurements)

    def loaded(self, role: str, replica: str, candidate: str, failure: str | None) -> None:
        """Takes that a replica has loaded the candidate, or why it could not."""
        with self._lock:
            if failure is None:
                self._loaded[role, replica] = (candidate, time.monotonic())
            else:
                self._failure[candidate] = f"{role}: {failure}"

    def check_health(self) -> None:
        """For Serve, which replaces a replica that raises."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that judges has ended")

    def _run(self) -> None:
        while True:
            try:
                self._judge()
            except Exception as error:
                _log.warning("the rollout could not be judged: %s: %s", type(error).__name__, error)
            time.sleep(_EVERY_S)

    def _judge(self) -> None:
        rollout = self._store.read()
        with self._lock:
            pending, self._pending = self._pending, {}
            failure = self._failure.get(rollout.candidate) if rollout else None
        if rollout is None or not rollout.is_active:
            return
        if failure is not None:
            lost = Measurements(load_failure=failure)
            pending.setdefault((rollout.id, rollout.round), Measurements()).add(lost)
        try:
            ready = rollout.ready or self._all_loaded(rollout.candidate)
        except Exception as error:  # a breach is found all the same
            _log.warning("replicas cannot be counted: %s: %s", type(error).__name__, error)
            ready = False
        try:
            self._store.judge(self._holder, time.time(), _LEASE_S, pending, ready)
        except Exception:
            for (of, round_), measurements in pending.items():
                self.measured(of, round_, measurements)
            raise

    def _all_loaded(self, candidate: str) -> bool:
        """Whether every replica that runs has said so lately. Those that start load it before they run."""
        from ray import serve

        oldest = time.monotonic() - _REPORT_LASTS_S
        with self._lock:
            have = [role for (role, _), (of, at) in self._loaded.items() if of == candidate and at > oldest]
        deployments = serve.status().applications[self._application].deployments
        for role in ROLES:
            states = deployments[role].replica_states
            running = sum(count for state, count in states.items() if state == "RUNNING")
            if running == 0 or have.count(role) < running:
                return False
        return True
