"""Private parts of Ray, in one place: what they are needed for, and the releases that they were tried with."""

from __future__ import annotations

import warnings
from typing import Any

RELEASES = ("2.60",)
"""Releases of Ray of which tests know that what is here, and what HAProxy is told (serve_app.tls.haproxy), is right."""


def http_address_of_serve() -> tuple[str, int]:
    """(host, port) on which Serve of this cluster listens. It must run."""
    from ray.serve.context import _get_global_client

    client = _get_global_client()
    assert client is not None  # noqa: S101
    return client.http_config.host, client.http_config.port


def start_application(target: Any, name: str) -> None:
    """Starts a Serve application without a route, and returns at once.

    `serve.run` would wait until its replicas run, or for ever if there is no room for them.
    """
    from ray.serve.api import RunTarget, _run_many

    _run_many(
        [RunTarget(target, name=name, route_prefix=None)],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )


def mapped_without_restarts(rows: Any, *arguments: Any, **options: Any) -> Any:
    """`rows.map(...)` of Ray Data whose actors are not restarted when they die: the data set then ends with an error.

    Releases of Ray from 2.64 on will not take the option: there, Ray Data restarts them without end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return rows.map(*arguments, **options, max_restarts=0)
        except TypeError:
            return rows.map(*arguments, **options)
