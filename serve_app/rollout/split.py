"""Which version encodes a record: by a hash of its key, so that a key stays with its version while shares grow."""

from __future__ import annotations

from dataclasses import dataclass

from nbmf.shares import fraction
from serve_app.reading.items import ToEncode
from serve_app.rollout.state import Rollout


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record and what decides on its version."""

    record: ToEncode
    key: bytes


def keyed_record(record: ToEncode, key: str | None) -> Keyed:
    """Without a key, the record's content decides."""
    return Keyed(record, record.canonical if key is None else key.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Route:
    """Versions that encode now. `rollout` is None when there is only one."""

    stable: str
    rollout: Rollout | None = None

    @property
    def candidate(self) -> str | None:
        """The version that is rolled out, measured at least."""
        return self.rollout.candidate if self.rollout else None

    @property
    def shares_percent(self) -> dict[str, float]:
        """Versions of this route, each with its share of keys."""
        rollout = self.rollout
        if rollout is None:
            return {self.stable: 100.0}
        share = rollout.percent if rollout.ready else 0.0
        return {self.stable: 100 - share, rollout.candidate: share}

    def version_of(self, key: bytes) -> str:
        """The version that encodes the record of this key. None is the candidate's before all replicas have it."""
        rollout = self.rollout
        if rollout is None or not rollout.ready or not rollout.percent:
            return self.stable
        return rollout.candidate if fraction(rollout.candidate, key) * 100 < rollout.percent else self.stable


def route(deployed: str, stable: str, rollout: Rollout | None) -> Route:
    """Where records go, for a service that was deployed with one version in a registry whose stable one is another.

    The service changes only to versions that came there by a rollout: these its replicas have loaded.
    """
    if rollout is None:
        return Route(deployed)
    known = stable if stable in (rollout.stable, rollout.candidate) else deployed
    return Route(known, rollout if rollout.is_active and known != rollout.candidate else None)
