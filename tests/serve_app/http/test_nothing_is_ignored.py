"""What a request says and the service cannot do, or does not know, is refused by name; nothing is left out silently."""

import json

import pytest
from octets import OCTETS, frame_items, split_items

from nbmf import Codec

RECORD = {"payload": "text"}
BLOB = {"blob": "smhpIcVF4A=="}


@pytest.fixture
def refused(in_process):
    """A function: the message of a request that is refused."""
    ask = in_process()

    def message(method, path, status=400, code="bad_request", **options):
        answer = ask(method, path, **options)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code), answer.text
        return error["message"]

    return message


def test_a_fidelity_that_is_none(in_process, refused):
    none = {**RECORD, "fidelity": "roughly"}
    for body in (none, {**RECORD, "fidelity": None}, {**RECORD, "fidelity": []}):
        assert "fidelity is lossless or semantic" in refused("POST", "/v1/encode", json=body)
    assert "fidelity" in refused("POST", "/v1/encode?fidelity=roughly", json=RECORD)
    assert "fidelity" in refused("POST", "/v1/encode?fidelity=lossless", json={**RECORD, "fidelity": "semantic"})
    answer = in_process()("POST", "/v1/encode", json={"records": [RECORD, none, {**RECORD, "fidelity": "lossless"}]})
    first, second, third = answer.json()["results"]
    assert "blob" in first
    assert second["error"]["code"] == "bad_request"
    assert third == first


@pytest.mark.parametrize("body", [{"json": RECORD}, {"content": b"text", "headers": OCTETS}], ids=["json", "octets"])
@pytest.mark.parametrize("name", ["efort", "fidelities", "Kind", "timeout_ms", "records"])
def test_unknown_parameters_of_encode(refused, name, body):
    message = refused("POST", f"/v1/encode?key=a&{name}=max", **body)
    assert repr(name) in message
    assert "latency_budget_ms" in message


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/v1/decode?kind=text", {"json": BLOB}),
        ("POST", "/v1/decode?kind=text", {"content": b"x", "headers": OCTETS}),
        ("GET", "/v1/versions?kind=text", {}),
        ("GET", "/v1/admin/rollout?kind=text", {}),
        ("GET", "/v1/admin/rollout/history?kind=text", {}),
        ("GET", "/v1/admin/recent?kind=text", {}),
        ("POST", "/v1/admin/rollout/start?kind=text", {"json": {"version": "x"}}),
        ("POST", "/v1/admin/rollout/advance?kind=text", {}),
    ],
)
def test_unknown_parameters_elsewhere(refused, method, path, options):
    options["headers"] = {**options.get("headers", {}), "Host": "localhost"}
    assert "'kind'" in refused(method, path, **options)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/encode?effort=fast&effort=max", "'effort'"),
        ("/v1/encode?effort=fast&effort=fast", "'effort'"),
        ("/v1/encode?key=a&key=b", "'key'"),
        ("/v1/encode?kind=text", "'kind'"),
        ("/v1/encode?batch=true", "'batch'"),
        ("/v1/encode?batch=false&kind=json", "'kind', 'batch'"),
        ("/v1/decode?batch=true", "'batch'"),
    ],
)
def test_parameters_without_effect(refused, path, named):
    assert named in refused("POST", path, json=RECORD if "encode" in path else BLOB)


@pytest.mark.parametrize("parameter", ["effort=", "effort=MAX", "latency_budget_ms=", "latency_budget_ms=fast"])
def test_values_that_are_none(refused, parameter):
    assert parameter.partition("=")[0] in refused("POST", f"/v1/encode?{parameter}", json=RECORD)


def test_two_keys_of_a_record(in_process, refused):
    assert "key" in refused("POST", "/v1/encode?key=a", json={**RECORD, "key": "b"})
    assert in_process()("POST", "/v1/encode?key=a", json={**RECORD, "key": "a"}).status_code == 200
    batch = {"records": [{**RECORD, "key": "b"}, RECORD]}  # where it is of those that name none
    assert in_process()("POST", "/v1/encode?key=a", json=batch).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        ("/v1/encode", {**RECORD, "effort": "max"}, "'effort'"),
        ("/v1/encode", {"records": [RECORD], "effort": "max", "fidelity": "semantic"}, "'effort', 'fidelity'"),
        ("/v1/encode", {**RECORD, "kind": "text"}, "'kind'"),
        ("/v1/decode", {**BLOB, "codec": "x"}, "'codec'"),
        ("/v1/decode", {"blobs": [], "codec": "x"}, "'codec'"),
    ],
)
def test_unknown_fields(refused, path, fields, named):
    assert f"unknown fields: {named}" in refused("POST", path, json=fields)


def test_unknown_fields_of_a_record_of_a_batch(in_process):
    answer = in_process()("POST", "/v1/encode", json={"records": [RECORD, {**RECORD, "efort": 1}]})
    good, bad = answer.json()["results"]
    assert "blob" in good
    assert "'efort'" in bad["error"]["message"]


@pytest.mark.parametrize("action", ["advance", "pause", "resume", "rollback"])
def test_fields_of_what_moves_a_rollout(refused, action):
    path, host, seen = f"/v1/admin/rollout/{action}", {"Host": "localhost"}, {"rollout": "x", "round": 0}
    assert "percent" in refused("POST", path, json={**seen, "percent": 50}, headers=host)
    assert "not JSON" in refused("POST", path, content=b"now", headers=host)
    if action == "advance":
        assert "round" in refused("POST", path, json={}, headers=host)
        refused("POST", path, 409, "fixed_version", json=seen, headers=host)
        return
    assert "force" in refused("POST", path, json={**seen, "force": True}, headers=host)
    for body in (b"", b"{}"):
        refused("POST", path, 409, "fixed_version", content=body, headers=host)


def test_fields_of_a_rollout(refused):
    path, host = "/v1/admin/rollout/start", {"Host": "localhost"}
    assert "percent" in refused("POST", path, json={"version": "x", "percent": 5}, headers=host)
    assert "dwel_s" in refused("POST", path, json={"version": "x", "policy": {"dwel_s": 5}}, headers=host)
    assert "version" in refused("POST", path, content=b'{"version": "x", "version": "y"}', headers=host)


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", '"iso-8859-1"'])
@pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream"])
def test_other_charsets(refused, media_type, charset):
    headers = {"Content-Type": f"{media_type}; charset={charset}"}
    message = refused("POST", "/v1/encode", 415, "unsupported_media_type", content=b'{"payload": 1}', headers=headers)
    assert charset.strip('"') in message


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_spellings_of_utf8(in_process, charset):
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert in_process()("POST", "/v1/encode", json=RECORD, headers=headers).status_code == 200


TEXT = '{"payload": "Grüße \U0001f600"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_before_json(in_process, encoding):
    """It says the encoding, as in files."""
    ask = in_process()
    answer = ask("POST", "/v1/encode", content=TEXT.encode(encoding), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    decoded = ask("POST", "/v1/decode", json={"blob": answer.json()["blob"]})
    assert decoded.json() == {"kind": "text", "payload": "Grüße \U0001f600"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_before_json_in_octets(in_process, encoding):
    octets = TEXT.encode(encoding)
    ask = in_process()
    one = ask("POST", "/v1/encode?kind=json", content=octets, headers=OCTETS)
    batch = ask("POST", "/v1/encode?kind=json&batch=true", content=frame_items([octets]), headers=OCTETS)
    ((status, _, blob),) = split_items(batch.content)
    assert (one.status_code, status) == (200, 0)
    for found in (one.content, blob):
        assert Codec().decode(found) == json.loads(TEXT)


def test_a_byte_order_mark_of_text_is_of_the_text(in_process):
    octets = "\ufeffa".encode()
    ask = in_process()
    blob = ask("POST", "/v1/encode?kind=text", content=octets, headers=OCTETS)
    assert ask("POST", "/v1/decode", content=blob.content, headers=OCTETS).content == octets


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_text_of_another_encoding(refused, encoding):
    """It could not come back as the octets that it was."""
    octets = "a text".encode(encoding)
    assert encoding in refused("POST", "/v1/encode?kind=text", content=octets, headers=OCTETS)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_json_of_another_encoding_without_a_mark(refused, encoding):
    headers = {"Content-Type": "application/json"}
    assert "not JSON" in refused("POST", "/v1/encode", content=TEXT.encode(encoding), headers=headers)
