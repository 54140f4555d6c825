"""A version on trial, before anything relies on it."""

from __future__ import annotations

import time

from cluster.quarantine import Quarantine
from cluster.registry import Registry
from nbmf.engine import Engine
from serve_app.isolation.process import IsolatedProcess, VersionKilled

_MAX_PAYLOAD_BYTES = 1 << 20


def tried(registry: Registry, version: str, engine: Engine) -> None:
    """Loads and tries a version in a process that is thrown away; one that kills or hangs it comes into quarantine.

    Raises QuarantinedCodec, DamagedCodec, InexactMachine, UnsupportedFormat, VersionNotFound, ProcessLost.
    """
    quarantine = Quarantine(registry)
    quarantine.check(version)
    try:
        IsolatedProcess(registry.fetch(version), engine, _MAX_PAYLOAD_BYTES).close()
    except VersionKilled as error:
        quarantine.add(version, str(error), time.time())
        quarantine.check(version)
