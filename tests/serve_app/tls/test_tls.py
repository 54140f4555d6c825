"""TLS settings: what is checked before anything starts, and what nodes are told."""

import datetime
import os
from pathlib import Path

import pytest
from certificates import DAY, Authority
from pydantic import ValidationError

from cluster import config as configuration
from cluster import session
from cluster.errors import ConfigError
from serve_app.config import DEFAULT_FILE, ServeConfig, TlsConfig
from serve_app.declared import build, serve_body
from serve_app.deploy.exposure import warn_if_open
from serve_app.tls.files import absolute, check_absolute, check_files, warn_if_expiring
from serve_app.tls.nodes import check_environment, local_environment, node_environment

PROGRAM = "/opt/bin/nbmf-haproxy"
TLS = TlsConfig(certificate_file="/tls/tls.crt", key_file="/tls/tls.key", client_ca_file="/tls/ca.crt")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(authority):
    certificate, key = authority.issue("server")
    return {"certificate_file": str(certificate), "key_file": str(key), "client_ca_file": str(authority.file)}


def config_with(tls):
    return configuration.load(ServeConfig, None, DEFAULT_FILE, {"tls": tls})


def test_the_url_says_how_it_is_spoken_to():
    assert config_with(None).url == "http://127.0.0.1:8000"
    assert config_with(TLS.model_dump()).url == "https://127.0.0.1:8000"


def test_clients_with_certificates_are_no_strangers(capsys):
    without = TLS.model_copy(update={"client_ca_file": None})
    for tls, warned in ((None, True), (without, True), (TLS, False)):
        warn_if_open(config_with(None).model_copy(update={"host": "0.0.0.0", "tls": tls}))
        assert ("warning" in capsys.readouterr().err) is warned


@pytest.mark.parametrize(
    "fields",
    [
        {"certificate_file": "c"},
        {"key_file": "k"},
        {"certificate_file": "", "key_file": "k"},
        {"certificate_file": "c", "key_file": "k", "ca_file": "a"},
    ],
)
def test_a_part_that_is_missing_or_unknown(fields):
    with pytest.raises(ValidationError):
        TlsConfig.model_validate(fields)


def test_good_files(files):
    expires = check_files(TlsConfig(**files))
    assert datetime.timedelta(days=29) < expires - datetime.datetime.now(datetime.UTC) < datetime.timedelta(days=31)


def problem(files, now=None, **changed):
    with pytest.raises(ConfigError) as caught:
        check_files(TlsConfig(**files | {name: str(value) for name, value in changed.items()}), now)
    return str(caught.value)


@pytest.mark.parametrize("name", ["certificate_file", "key_file", "client_ca_file"])
def test_files_that_are_not_there_or_something_else(files, tmp_path, name):
    assert problem(files, **{name: tmp_path / "no"}) == f"tls.{name}: {tmp_path}/no: No such file or directory"
    assert problem(files, **{name: tmp_path}).endswith("Is a directory")
    other = tmp_path / "other.pem"
    for content in (b"", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nSECRET\n-----END CERTIFICATE-----\n"):
        other.write_bytes(content.replace(b"CERTIFICATE", b"PRIVATE KEY") if name == "key_file" else content)
        message = problem(files, **{name: other})
        assert message.startswith(f"tls.{name}: {other} has no ")
        assert "SECRET" not in message


def test_a_key_of_another_certificate(files, authority):
    assert "is not the key of the certificate" in problem(files, key_file=authority.issue("other")[1])


def test_an_encrypted_key(files, authority):
    certificate, key = authority.issue("locked", password=b"p")
    assert "is encrypted; decrypt it" in problem(files, certificate_file=certificate, key_file=key)


def test_dates(files, authority, capsys):
    certificate, key = authority.issue("old", valid=-DAY)
    assert "expired on" in problem(files, certificate_file=certificate, key_file=key)
    now = datetime.datetime.now(datetime.UTC)
    assert "is not valid before" in problem(files, now - 90 * DAY)
    tls = TlsConfig(**files)
    warn_if_expiring(tls, check_files(tls), now)
    assert capsys.readouterr().err == ""
    warn_if_expiring(tls, check_files(tls), now + 20 * DAY)
    assert f"warning: the certificate {files['certificate_file']} expires on" in capsys.readouterr().err


def test_relative_paths(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    relative = TlsConfig(certificate_file="a.crt", key_file="/b.key")
    assert absolute(relative) == TlsConfig(certificate_file=f"{Path.cwd()}/a.crt", key_file="/b.key")
    check_absolute(TLS)
    with pytest.raises(ConfigError, match=r"tls.certificate_file: a.crt is not absolute"):
        check_absolute(relative)


def test_nodes_that_were_started_for_it():
    check_environment(TLS, node_environment(TLS, PROGRAM))
    check_environment(None, {})
    for program in (PROGRAM, "/usr/sbin/haproxy"):
        check_environment(None, {"RAY_SERVE_HAPROXY_BINARY_PATH": program})


@pytest.mark.parametrize("name", node_environment(TLS, PROGRAM))
def test_a_variable_that_is_missing_or_of_something_else(name):
    good = node_environment(TLS, PROGRAM)
    for other in ({}, {name: ""}, {name: "/other"}):
        with pytest.raises(ConfigError, match=f"{name}="):
            check_environment(TLS, {key: value for key, value in good.items() if key != name} | other)


def test_nodes_that_ask_for_clients_certificates_unasked():
    with pytest.raises(ConfigError, match="NBMF_TLS_CLIENT_CA_FILE="):
        check_environment(TLS.model_copy(update={"client_ca_file": None}), node_environment(TLS, PROGRAM))


def test_nodes_that_speak_tls_to_a_service_that_does_not():
    with pytest.raises(ConfigError, match="tls: null, but Ray was started with"):
        check_environment(None, node_environment(TLS, PROGRAM))


def test_a_local_session_is_started_for_it_and_nothing_stays(monkeypatch, files):
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    before = dict(os.environ)
    tls = TlsConfig(**files)
    with local_environment(config_with(tls)):
        check_environment(tls, os.environ)
    assert dict(os.environ) == before
    with local_environment(config_with(None)):
        assert dict(os.environ) == before


def test_a_program_that_is_not_installed(monkeypatch, files, tmp_path):
    monkeypatch.setattr(session.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="nbmf-haproxy"), local_environment(config_with(TlsConfig(**files))):
        pass


def test_a_declared_service_is_not_built_where_it_would_be_in_plain_text(monkeypatch, version):
    (application,) = serve_body(config_with(TLS.model_dump()), version.registry.location)["applications"]
    with pytest.raises(ConfigError, match="tls: Ray was not started for it"):
        build(application["args"])
    for name, value in node_environment(TLS, PROGRAM).items():
        monkeypatch.setenv(name, value)
    assert build(application["args"])


@pytest.mark.usefixtures("ray_session")
def test_a_running_session_that_was_not_started_for_it(error_of, files, tmp_path):
    options = ("--tls-certificate", files["certificate_file"], "--tls-key", files["key_file"])
    message = error_of("serve", "--registry", tmp_path, *options)
    assert "config_error: node " in message
    assert "tls: Ray was not started for it" in message


def test_mistakes_of_the_command(error_of, files, tmp_path):
    message = error_of("serve", "--tls-certificate", files["certificate_file"])
    assert "tls.key_file: Field required" in message
    message = error_of("serve", "--tls-certificate", tmp_path / "no", "--tls-key", files["key_file"])
    assert "tls.certificate_file: " in message
    config = tmp_path / "relative.yaml"
    relative = config_with({"certificate_file": "a", "key_file": "b"})
    config.write_text(relative.model_dump_json())
    assert "a is not absolute" in error_of("serve", "--config", config, "--address", "auto")
    assert "a is not absolute" in error_of("manifest", "serve", "--config", config)
