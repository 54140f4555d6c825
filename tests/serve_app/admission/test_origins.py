"""A service without keys on this machine's own address, and pages in a browser there."""

import pytest
from keys import entry

PATHS = ["/v1/encode", "/v1/decode", "/v1/versions", "/healthz", "/console", "/docs"]


def status(ask, path, **headers):
    return ask("POST" if path in PATHS[:2] else "GET", path, content=b"{}", headers=headers).status_code


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "10.0.0.1", "["])
def test_names_of_others(in_process, path, host):
    ask = in_process()
    answer = ask("GET", "/v1/versions", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "allowed_hosts" in answer.json()["error"]["message"]
    assert status(ask, path, Host=host) == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "127.8.8.8"])
def test_names_of_this_machine(in_process, host):
    ask = in_process()
    for path in PATHS:
        assert status(ask, path, Host=host) != 403
        assert status(ask, path, Host=host, Origin=f"http://{host}") != 403
        assert status(ask, path, Host=host, Origin="http://evil.example") == 403


def test_a_name_that_is_allowed(in_process):
    """Of a proxy in front, which passes on what it was asked for."""
    ask = in_process(allowed_hosts=["codec.example"])
    assert status(ask, "/v1/versions", Host="codec.example") == 200
    assert status(ask, "/v1/versions", Host="codec.example:8443", Origin="https://codec.example:8443") == 200
    assert status(ask, "/v1/versions", Host="other.example") == 403


def test_services_that_do_not_trust_this_machine(in_process):
    keys = [entry("reader", "a key", "decode")]
    for settings in ({"api_keys": keys}, {"host": "0.0.0.0"}):
        ask = in_process(**settings)
        headers = {"Host": "codec.example", "Origin": "http://other.example", "X-Api-Key": "a key"}
        assert ask("GET", "/v1/versions", headers=headers).status_code == 200
