"""`nbmf serve`."""

from __future__ import annotations

import signal
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.options import LOCAL, AddressOption, EngineOption, RegistryOption, ThreadsOption

_STARTING = "starting the service"


def serve(
    config: Annotated[
        Path | None, typer.Option(**LOCAL, help="YAML file to use in place of configs/serve/local.yaml.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; overrides the file.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on; overrides the file.")] = None,
    grpc_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for gRPC as well; overrides the file.")
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(**LOCAL, help="Certificate (PEM) for HTTPS, with --tls-key; overrides the file's tls."),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(**LOCAL, help="Private key (PEM) of --tls-certificate.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(**LOCAL, help="CAs (PEM); clients then need a certificate of one of them.")
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
    from serve_app.deploy.exposure import warn_if_open
    from serve_app.tls.files import absolute, check_absolute, check_files, warn_if_expiring
    from serve_app.tls.nodes import local_environment

    overrides = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "tls": _tls_fields(tls_certificate, tls_key, tls_client_ca),
        "version": codec,
        "engine": engine.value if engine else None,
        "threads": threads,
    }
    settings = configuration.load(ServeConfig, config, DEFAULT_FILE, overrides)
    warn_if_open(settings)
    tls = settings.tls
    if tls is not None and address is not None:
        check_absolute(tls)
    elif tls is not None:
        tls = absolute(tls)
        warn_if_expiring(tls, check_files(tls))
        settings = settings.model_copy(update={"tls": tls})
    stop = threading.Event()
    with local_environment(settings) if address is None else nullcontext(), session(address):
        from serve_app.deploy.deploy import deploy, undeploy

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


def _tls_fields(certificate: Path | None, key: Path | None, client_ca: Path | None) -> dict[str, str] | None:
    """`tls` of the configuration, as options say it; a part that is missing is the configuration's to complain of."""
    files = {"certificate_file": certificate, "key_file": key, "client_ca_file": client_ca}
    return {name: str(path) for name, path in files.items() if path is not None} or None
