"""The deployment that judges: gathers what ingress and decoders report, and takes the rollout on or back.

It also keeps the encoders that the service needs: of the stable version, and of a candidate.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid

from cluster.quarantine import Quarantine
from cluster.registry import Registry
from serve_app.config import ServeConfig
from serve_app.observe.live_fit import FitWatch
from serve_app.observe.measurements import Measurements
from serve_app.observe.metrics import service_metrics
from serve_app.observe.recent import RecentCounts, RecentMeasurements, Series
from serve_app.rollout.encoder_apps import EncoderApps
from serve_app.rollout.split import Route, route
from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore

_EVERY_S = 1.0
_LEASE_S = 10.0
_REPORT_LASTS_S = 5.0

_log = logging.getLogger("ray.serve")


class RolloutController:
    """One replica a service; of several services on a registry, the holder of the lease decides."""

    def __init__(self, config: ServeConfig, registry: str, version: str, application: str, encoder: type) -> None:
        self._registry = Registry(registry)
        self._store = RolloutStore(self._registry)
        self._quarantine = Quarantine(self._registry)
        self._follows = config.follows_rollouts
        self._deployed = version
        self._application = application
        self._encoders = EncoderApps(encoder, config, registry, application)
        self._holder = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._recent = RecentMeasurements()
        self._fit = FitWatch(config.fit, self._registry)
        self._pending: dict[tuple[str, int], Measurements] = {}
        self._loaded: dict[str, tuple[str, float]] = {}
        self._failure: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def measured(self, rollout: str, round_: int, measurements: Measurements) -> None:
        """Takes what an ingress counted in one round of a rollout since it last did so."""
        with self._lock:
            self._pending.setdefault((rollout, round_), Measurements()).add(measurements)

    def loaded(self, replica: str, rollout: str, failure: str | None) -> None:
        """Takes that a decoder replica has loaded this rollout's candidate, or why it could not."""
        with self._lock:
            if failure is None:
                self._loaded[replica] = (rollout, time.monotonic())
            else:
                self._failure[rollout] = f"decoder: {failure}"

    def recent(self, replica: str, counts: dict[str, RecentCounts]) -> None:
        """Takes what an ingress replica counted of all versions since it last did so."""
        now = time.time()
        with self._lock:
            self._recent.add(replica, counts, now)
        for version, of in counts.items():
            self._fit.add(version, of.sizes, now)

    def recent_series(self) -> Series:
        """Measurements of the last minutes, of all ingress replicas."""
        with self._lock:
            series = self._recent.series(time.time())
        return series.model_copy(update={"fits": self._fit.fits})

    def check_health(self) -> None:
        """For Serve, which replaces a replica that raises."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that judges has ended")

    def _run(self) -> None:
        while True:
            for step in (self._keep_encoders, self._judge, self._show, self._watch_fit):
                try:
                    step()
                except Exception as error:
                    _log.warning("rollout: %s: %s: %s", step.__name__, type(error).__name__, error)
            time.sleep(_EVERY_S)

    def _keep_encoders(self) -> None:
        self._encoders.keep(self._versions())

    def _versions(self) -> list[str]:
        """Those that encode now."""
        now = self._route(self._store.read())
        return [now.stable, now.candidate] if now.candidate else [now.stable]

    def _route(self, rollout: Rollout | None) -> Route:
        return route(self._deployed, self._registry.resolve(), rollout) if self._follows else Route(self._deployed)

    def _show(self) -> None:
        service_metrics().quarantine(self._quarantine.read())
        rollout = self._store.read()
        service_metrics().rollout(rollout if self._follows else None, self._route(rollout).shares_percent)

    def _watch_fit(self) -> None:
        service_metrics().fit(self._fit.judge(self._versions(), time.time()))

    def _judge(self) -> None:
        self._judge_rollout(self._store.read())
        service_metrics().judged(time.time())

    def _judge_rollout(self, rollout: Rollout | None) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        if rollout is None or not rollout.is_active or not self._follows:
            return
        ready = self._is_ready(rollout)
        with self._lock:
            failure = self._failure.get(rollout.id)
        quarantined = self._quarantine.read().get(rollout.candidate)
        if failure is None and quarantined is not None:
            failure = f"in quarantine: {quarantined.reason}"
        if failure is not None:
            lost = Measurements(load_failure=failure)
            pending.setdefault((rollout.id, rollout.round), Measurements()).add(lost)
        try:
            self._store.judge(self._holder, time.time(), _LEASE_S, pending, ready)
        except Exception:
            for (of, round_), measurements in pending.items():
                self.measured(of, round_, measurements)
            raise

    def _is_ready(self, rollout: Rollout) -> bool:
        """Whether the candidate's encoder runs and every decoder replica has it."""
        try:
            encoder = self._encoders.state_of(rollout.candidate)
            if encoder.state == "failed":
                with self._lock:
                    self._failure.setdefault(rollout.id, f"encoder: {encoder.detail}")
            return rollout.ready or (encoder.state == "running" and self._all_loaded(rollout.id))
        except Exception as error:  # a breach is found all the same
            _log.warning("replicas cannot be counted: %s: %s", type(error).__name__, error)
            return False

    def _all_loaded(self, rollout: str) -> bool:
        """Whether every decoder replica that runs has said so lately. Those that start load it before they run."""
        from ray import serve

        oldest = time.monotonic() - _REPORT_LASTS_S
        with self._lock:
            have = sum(of == rollout and at > oldest for of, at in self._loaded.values())
        states = serve.status().applications[self._application].deployments["Decoder"].replica_states
        running = sum(count for state, count in states.items() if state == "RUNNING")
        return 0 < running <= have
