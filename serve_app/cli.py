"""`nbmf serve`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.options import AddressOption, EngineOption, RegistryOption, ThreadsOption

_STARTING = "starting the service (a new machine first compiles the coders: a minute)"


def serve(
    config: Annotated[Path | None, typer.Option(help="YAML file to use in place of configs/serve/local.yaml.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; overrides the file.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on; overrides the file.")] = None,
    grpc_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for gRPC as well; overrides the file.")
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(help="Version to encode with, named as in `nbmf encode`; overrides the file."),
    ] = None,
    engine: EngineOption = None,
    threads: ThreadsOption = None,
    registry: RegistryOption = None,
    address: AddressOption = None,
) -> None:
    """Serve encode and decode over HTTP, and gRPC if it has a port, until Ctrl-C.

    `POST /v1/encode`, `POST /v1/decode`, `GET /v1/versions`, `GET /healthz`, and their description at `/docs`.
    Who may use it: `api_keys` of the configuration (`nbmf api-key new`), else whoever reaches it.
    On a running cluster (`--address`) the service is deployed and stays when this command ends.

    Example: `nbmf serve --registry ./registry`, then
    `curl localhost:8000/v1/encode --json '{"payload": "Remember the milk."}'`.
    """
    from cluster import config as configuration
    from cluster.progress import console
    from cluster.registry import Registry
    from cluster.session import session
    from serve_app.config import DEFAULT_FILE, ServeConfig
    from serve_app.exposure import warn_if_open

    overrides = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "version": codec,
        "engine": engine.value if engine else None,
        "threads": threads,
    }
    settings = configuration.load(ServeConfig, config, DEFAULT_FILE, overrides)
    warn_if_open(settings)
    stop = threading.Event()
    with session(address):
        from serve_app.deploy import deploy, undeploy

        with console.status(_STARTING):
            url = deploy(settings, Registry(registry))
        grpc = f"; gRPC on {settings.host}:{settings.grpc_port}" if settings.grpc_port else ""
        typer.echo(f"Serving on {url} (API description: {url}/docs){grpc}")
        if address is not None:
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
        typer.echo("Stopping.")
        undeploy()
