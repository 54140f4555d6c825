"""Who may ask for what: keys, roles, and what is told to those who may not."""

import base64
import hmac
import json

import pytest
import yaml
from keys import entry

from cluster import config as configuration
from cluster.cli.api_keys import RoleChoice
from cluster.errors import ConfigError
from nbmf import Codec
from serve_app.admission.api_keys import Authenticator
from serve_app.config import DEFAULT_FILE, ApiKey, Role, ServeConfig

WRITER, READER, ADMIN = "nbmf_writers-key", "nbmf_readers-key", "nbmf_admins-key"
BLOB = base64.b64encode(Codec().encode("x")).decode()
BODIES = {"/v1/encode": {"payload": "x"}, "/v1/decode": {"blob": BLOB}}


KEYS = [entry("writer", WRITER, "encode"), entry("reader", READER, "decode"), entry("boss", ADMIN, "admin")]


@pytest.fixture
def ask(in_process):
    return in_process(api_keys=KEYS)


def _ask(ask, path, **headers):
    method = "POST" if path in BODIES else "GET"
    return ask(method, path, json=BODIES.get(path), headers=headers)


def _bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/encode", WRITER, 200),
        ("/v1/encode", READER, 403),
        ("/v1/encode", ADMIN, 403),
        ("/v1/decode", WRITER, 403),
        ("/v1/decode", READER, 200),
        ("/v1/decode", ADMIN, 403),
        ("/v1/versions", WRITER, 200),
        ("/v1/versions", READER, 200),
        ("/v1/versions", ADMIN, 200),
    ],
)
@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_roles(ask, path, key, status, header):
    answer = _ask(ask, path, **(_bearer(key) if header == "Authorization" else {header: key}))
    assert answer.status_code == status
    if status == 403:
        error = answer.json()["error"]
        assert error["code"] == "forbidden"
        assert path.removeprefix("/v1/") in error["message"]
        assert key not in answer.text


NO_KEYS = {
    "none": {},
    "empty": {"Authorization": ""},
    "no key": {"Authorization": "Bearer"},
    "no key after a space": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {WRITER}"},
    "no scheme": {"Authorization": WRITER},
    "empty header": {"X-Api-Key": ""},
    "unknown": _bearer("nbmf_nobodys-key"),
    "unknown header": {"X-Api-Key": "nbmf_nobodys-key"},
    "the hash": _bearer(KEYS[0]["sha256"]),
    "the name": _bearer("writer"),
    "the start": _bearer(WRITER[:-1]),
    "more": _bearer(WRITER + "x"),
    "capitals": _bearer(WRITER.upper()),
    "two": _bearer(f"{WRITER} {READER}"),
    "not ASCII": {"Authorization": "Bearer schlüssel".encode()},
    "an unknown one before a known one": {**_bearer("nbmf_nobodys-key"), "X-Api-Key": WRITER},
}


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode", "/v1/versions"])
@pytest.mark.parametrize("headers", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_without_a_key_of_the_servers(ask, path, headers):
    answer = _ask(ask, path, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_spellings_of_the_scheme(ask):
    assert _ask(ask, "/v1/encode", Authorization=f"bearer {WRITER}").status_code == 200
    assert _ask(ask, "/v1/encode", **{"Authorization": "Basic eDp5", "X-Api-Key": WRITER}).status_code == 200


def test_the_key_is_asked_for_before_anything_else(in_process):
    """Who has no key learns nothing, and makes no work: the body is not looked at."""

    def unused(*_):
        raise AssertionError

    ask = in_process(encode=unused, api_keys=KEYS)

    async def body():
        yield b"{"

    assert ask("POST", "/v1/encode?kind=xml", content=body()).status_code == 401
    assert ask("POST", "/v1/encode", content=b"{", headers=_bearer(READER)).status_code == 403


def test_open_to_all(ask):
    assert ask("GET", "/openapi.json").status_code == 200
    assert ask("GET", "/healthz").status_code == 200


def test_a_server_without_keys_asks_for_none(in_process):
    ask = in_process()
    assert [_ask(ask, path).status_code for path in ("/v1/encode", "/v1/decode", "/v1/versions")] == [200] * 3
    assert _ask(ask, "/v1/encode", **_bearer("whatever")).status_code == 200


def test_a_key_that_is_not_ascii(in_process):
    ask = in_process(api_keys=[entry("a", "schlüssel", "encode")])
    assert _ask(ask, "/v1/encode", Authorization="Bearer schlüssel".encode()).status_code == 200


def test_all_keys_are_compared_in_constant_time(monkeypatch):
    compared = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(b) or original(a, b))
    authenticator = Authenticator([ApiKey.model_validate(key) for key in KEYS])
    for presented, name in ((WRITER, "writer"), (ADMIN, "boss"), ("", None)):
        found = authenticator.find(presented)
        assert (found.name if found else None) == name
        assert [digest.hex() for digest in compared] == [key["sha256"] for key in KEYS]
        compared.clear()


def test_openapi_names_the_schemes(ask, in_process):
    api = ask("GET", "/openapi.json").json()
    assert api["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "an API key"},
    }
    for path, operations in api["paths"].items():
        for operation in operations.values():
            expected = [] if path == "/healthz" else [{"bearer": []}, {"x-api-key": []}]
            assert operation.get("security", []) == expected, path
    assert "securitySchemes" not in in_process()("GET", "/openapi.json").json()["components"]


# --- configuration and command ------------------------------------------------------------------------------------


def _load(keys, **settings):
    return configuration.load(ServeConfig, None, DEFAULT_FILE, {"api_keys": keys, **settings})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sha256": WRITER}, r"api_keys\.0\.sha256"),
        ({"sha256": "AB" * 32}, r"api_keys\.0\.sha256"),
        ({"name": ""}, r"api_keys\.0\.name"),
        ({"name": "two\nlines"}, r"api_keys\.0\.name"),
        ({"roles": []}, r"api_keys\.0\.roles"),
        ({"roles": ["write"]}, r"api_keys\.0\.roles\.0"),
        ({"key": "secret"}, r"api_keys\.0\.key"),
        ({"name": "reader"}, "two api_keys have the same name"),
        ({"sha256": KEYS[1]["sha256"]}, "two api_keys have the same sha256"),
    ],
)
def test_mistakes_in_the_configuration(change, named):
    with pytest.raises(ConfigError, match=named) as error:
        _load([KEYS[0] | change, *KEYS[1:]])
    assert WRITER not in str(error.value)


def test_who_can_reach_a_server_without_keys():
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert not _load([], host=host).is_open
    for host in ("0.0.0.0", "::", "10.0.0.7", "example.com"):
        assert _load([], host=host).is_open
        assert not _load(KEYS, host=host).is_open


def test_a_new_key_opens_a_server(nbmf_command, in_process):
    result = nbmf_command("api-key", "new", "agents", "--role", "encode", "--role", "decode", "--role", "encode")
    assert result.code == 0
    key, lines = result.out.decode().split("\n", 1)
    fields = yaml.safe_load(lines)
    assert key not in lines
    assert len(key) > 40
    assert [(k["name"], k["roles"]) for k in fields["api_keys"]] == [("agents", ["encode", "decode"])]
    ask = in_process(**fields)
    assert _ask(ask, "/v1/encode", **_bearer(key)).status_code == 200
    assert _ask(ask, "/v1/encode", **_bearer(key[:-1])).status_code == 401
    again = nbmf_command("api-key", "new", "agents", "--role", "encode")
    assert again.out.decode().split("\n", 1)[0] != key


@pytest.mark.parametrize(
    "arguments", [["agents"], ["--role", "encode"], ["a b", "--role", "encode"], ["a", "--role", "all"]]
)
def test_wrong_usage_of_the_command(nbmf_command, arguments):
    result = nbmf_command("api-key", "new", *arguments)
    assert (result.code, result.out) == (2, b"")


def test_roles_of_the_command_are_those_of_the_server():
    assert json.dumps([role.value for role in RoleChoice]) == json.dumps(list(Role.__args__))
