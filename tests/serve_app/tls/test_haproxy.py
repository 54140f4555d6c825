"""What Serve writes for HAProxy, completed with TLS: the installed Ray's text, read by the real HAProxy."""

import os
import re
import subprocess

import pytest
from certificates import Authority
from ray.serve._private.haproxy import HAProxyApi, HAProxyConfig
from ray.serve.config import HTTPOptions, gRPCOptions

from serve_app.tls.haproxy import UnknownConfiguration, with_limits, with_second_try, with_tls


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Certificate, key and authority."""
    authority = Authority(tmp_path_factory.mktemp("tls files"))
    return (*authority.issue("server"), authority.file)


@pytest.fixture
def written(tmp_path):
    """A function: the file that Serve writes for this address, with or without gRPC."""

    def write(host="127.0.0.1", grpc=True):
        functions = ["serve_app.grpc.registration.add_to_server"] if grpc else []
        config = HAProxyConfig(
            http_options=HTTPOptions(host=host, port=8000),
            grpc_options=gRPCOptions(port=9000, grpc_servicer_functions=functions),
            socket_path=str(tmp_path / "admin.sock"),
        )
        file = tmp_path / "haproxy.cfg"
        HAProxyApi(config, config_file_path=str(file))._generate_config_file_internal()
        return file

    return write


def binds(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("bind ")]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_both_ports_of_the_service_have_tls(written, host):
    before = written(host).read_text()
    after = with_tls(before, "/c", None)
    address = "*" if host == "0.0.0.0" else host
    changed = set(binds(after)) - set(binds(before))
    assert changed == {
        f"bind {address}:8000 ssl crt /c alpn h2,http/1.1",
        f"bind {address}:9000 ssl crt /c alpn h2",
    }
    assert len(binds(after)) == len(binds(before))


def test_clients_certificates(written):
    http, grpc = (
        line for line in binds(with_tls(written().read_text(), "/c", "/ca")) if line.startswith("bind 127.0.0.1")
    )
    assert http.endswith("ca-file /ca verify optional")
    assert grpc.endswith("ca-file /ca verify required")


def test_another_form_is_refused(written):
    text = written().read_text()
    for port in (":8000\n", ":9000 proto h2\n"):
        assert text.count(port) == 1
        with pytest.raises(UnknownConfiguration):
            with_tls(text.replace(port, port.replace("\n", " tfo\n")), "/c", None)
    with pytest.raises(UnknownConfiguration):
        with_tls(with_tls(text, "/c", None), "/c", None)
    with pytest.raises(UnknownConfiguration, match="no HTTP port"):
        with_tls(text[:200], "/c", None)
    for more in (f"{text}frontend more\n    bind :7000\n", text.replace(":8000\n", ":8000\n    bind :::8000\n")):
        with pytest.raises(UnknownConfiguration, match="would listen in plain text"):
            with_tls(more, "/c", None)


def test_times_that_a_user_chose_stay(written):
    text = written().read_text()
    after = with_limits(text)
    for line in ("timeout http-request 10s", "timeout client 120s", "timeout http-keep-alive 15s"):
        assert f"    {line}\n" not in text
        assert after.count(f"    {line}\n") == 1
    chosen = text.replace("client 3600s", "client 7200s").replace("keep-alive 90s", "keep-alive 91s")
    chosen = chosen.replace("defaults\n", "defaults\n    timeout http-request 99s\n")
    after = with_limits(chosen)
    for line in ("timeout http-request 99s", "timeout client 7200s", "timeout http-keep-alive 91s"):
        assert after.count(f"    {line}\n") == 1
    assert after.count("timeout http-request") == 1


def test_statistics_are_for_this_machine(written):
    before, after = (set(binds(text)) for text in (written().read_text(), with_limits(written().read_text())))
    ports = (HAProxyConfig.metrics_port, HAProxyConfig.stats_port)
    assert {bind.removeprefix("bind ") for bind in after - before} == {f"127.0.0.1:{port}" for port in ports}
    assert not [bind for bind in after if bind.startswith(("bind *", "bind :"))]


def test_bodies_are_not_spliced(written):
    """Else HAProxy keeps a connection whose body is answered before it ends, one time in three, for ever."""
    assert "option splice-" in written().read_text()
    assert "option splice-" not in with_limits(written().read_text())


def test_another_users_folder_is_refused(run, written):
    """Who can put another folder in its place could send requests elsewhere."""
    file = written()
    folder = file.parent.parent
    mode = folder.stat().st_mode
    folder.chmod(0o777)
    try:
        result = run(file)
    finally:
        folder.chmod(mode)
    assert result.returncode != 0
    assert f"{folder} is another user's" in result.stderr
    assert "RAY_SERVE_HAPROXY_SOCKET_PATH" in result.stderr
    assert run(file).returncode == 0


def test_retries_that_a_user_chose_stay(written):
    text = written().read_text()
    assert "retry-on conn-failure empty-response\n" in with_second_try(text)
    for chosen in ("none", "conn-failure response-timeout"):
        other = text.replace("retry-on conn-failure\n", f"retry-on {chosen}\n")
        assert f"retry-on {chosen}\n" in with_second_try(other)


@pytest.fixture
def run(console_script, files):
    """A function: runs `nbmf-haproxy -c`, which checks a configuration, as Serve would start it."""
    program = str(console_script.with_name("nbmf-haproxy"))

    def start(file, client_ca=True, **variables):
        certificate, key, authority = files
        given = {"NBMF_TLS_CERTIFICATE_FILE": str(certificate), "NBMF_TLS_KEY_FILE": str(key)}
        given |= {"NBMF_TLS_CLIENT_CA_FILE": str(authority)} if client_ca else {}
        environment = {**os.environ, "RAY_SERVE_HAPROXY_BINARY_PATH": program, **given, **variables}
        return subprocess.run(
            [program, "-c", "-f", str(file)],
            env={name: value for name, value in environment.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


@pytest.mark.parametrize("client_ca", [False, True])
@pytest.mark.parametrize("grpc", [False, True])
def test_haproxy_takes_it(run, written, grpc, client_ca):
    file = written(grpc=grpc)
    before = file.read_text()
    for _ in range(2):  # as Serve starts it anew whenever replicas come or go
        result = run(file, client_ca)
        assert result.returncode == 0, result.stderr
    assert file.read_text() == before
    assert file.parent.stat().st_mode & 0o077 == 0
    assert (file.parent / "nbmf-tls").stat().st_mode & 0o077 == 0


def test_without_tls(run, written):
    none = dict.fromkeys(("NBMF_TLS_CERTIFICATE_FILE", "NBMF_TLS_KEY_FILE"))
    file = written()
    result = run(file, client_ca=False, **none)
    assert result.returncode == 0, result.stderr
    assert "500" not in result.stderr
    assert not (file.parent / "nbmf-tls").exists()
    file.write_text(re.sub(r" +errorfile .*\n", "", file.read_text()))
    result = run(file, client_ca=False, **none)
    assert result.returncode == 0, result.stderr
    assert "requests that lose a replica get 500" in result.stderr


def test_haproxy_does_not_start_without_its_files(run, written, files):
    file = written()
    for name in ("NBMF_TLS_CERTIFICATE_FILE", "NBMF_TLS_KEY_FILE"):
        result = run(file, **{name: None})
        assert result.returncode != 0
        assert f"{name} is not set" in result.stderr
        assert run(file, **{name: "/no/such/file"}).returncode != 0
    assert run(file, NBMF_TLS_CLIENT_CA_FILE="/no/such/file").returncode != 0
    assert run(file, NBMF_TLS_KEY_FILE=str(files[2])).returncode != 0  # no key
    unknown = file.with_name("other.cfg")
    unknown.write_text("frontend http_frontend\n")
    result = run(unknown)
    assert result.returncode != 0
    assert "other.cfg is not what it knows how to add TLS to" in result.stderr
