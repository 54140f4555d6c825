"""The service as a declared Serve application: `import_path: serve_app.declared:build`, its configuration in `args`."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field

from cluster import config as configuration
from cluster.registry import Registry
from serve_app.config import ServeConfig
from serve_app.deploy.deploy import APPLICATION, main_application, resolve_version
from serve_app.deploy.serve_options import LOGGING, grpc_options, http_options
from serve_app.message_limits import check_message_limits
from serve_app.tls.nodes import check_environment

IMPORT_PATH = f"{__name__}:build"


class DeclaredConfig(ServeConfig):
    """`args` of the application: a ServeConfig, and the place of the registry."""

    registry: str = Field(min_length=1, description="folder or URI that every node reaches")


def build(args: dict[str, Any]) -> Any:
    """The main application, as Serve builds it on a node of the cluster; its controller starts encoders.

    Raises ConfigError, VersionNotFound, DamagedCodec, EngineMissing.
    """
    declared = configuration.parse(DeclaredConfig, args, f"args of {IMPORT_PATH}")
    registry = Registry(declared.registry)
    config = ServeConfig.model_validate(declared.model_dump(exclude={"registry"}))
    check_environment(config.tls, os.environ)
    check_message_limits(config, os.environ)
    return main_application(config, registry.location, resolve_version(config, registry))


def serve_body(config: ServeConfig, registry: str) -> dict[str, Any]:
    """What `PUT /api/serve/applications/` and `serve deploy` take: ServeDeploySchema.

    Encoders, which the service starts by itself, are not of it: Serve leaves what is not declared alone.
    """
    grpc = grpc_options(config)
    return {
        "proxy_location": "EveryNode",
        "http_options": http_options(config),
        **({"grpc_options": grpc} if grpc else {}),
        "logging_config": LOGGING,
        "applications": [
            {
                "name": APPLICATION,
                "route_prefix": "/",
                "import_path": IMPORT_PATH,
                "args": config.model_dump(mode="json") | {"registry": registry},
            }
        ],
    }
