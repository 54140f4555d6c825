"""The service that is measured: one that runs, or one that is started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import config as configuration
from cluster.progress import console
from cluster.registry import Registry
from cluster.session import free_port, session
from serve_app.config import DEFAULT_FILE, ServeConfig


@contextmanager
def started(config: Path | None, codec: str, registry: str | None) -> Iterator[str]:
    """The URL of a service of this version, on a local session and a free port, without API keys."""
    overrides = {"host": "127.0.0.1", "port": free_port(), "version": codec, "api_keys": []}
    settings = configuration.load(ServeConfig, config, DEFAULT_FILE, overrides)
    with session():
        from serve_app.deploy.deploy import deploy, undeploy

        with console.status("starting the service"):
            url = deploy(settings, Registry(registry))
        try:
            yield url
        finally:
            with console.status("stopping the service"):
                undeploy()
