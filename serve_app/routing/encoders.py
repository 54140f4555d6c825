"""Encoders: a Serve application of its own for each version, so that what one does to its replicas is no other's."""

from __future__ import annotations

from typing import Any

from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle


def encoder_name(application: str, version: str) -> str:
    """The application that encodes with this version for a service."""
    return f"{encoder_prefix(application)}{version[:12]}"


def encoder_prefix(application: str) -> str:
    """What the names of a service's encoder applications begin with."""
    return f"{application}-encoder-"


class Encoders:
    """Finds the encoders of a service."""

    def __init__(self, application: str) -> None:
        self._application = application

    def of(self, version: str) -> DeploymentHandle[Any] | None:
        """The encoder of a version; None if it is not there. Blocks for a call of Serve's controller."""
        from ray import serve

        try:
            return serve.get_app_handle(encoder_name(self._application, version))
        except RayServeException:
            return None
