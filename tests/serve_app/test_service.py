"""The service as a whole: what it tells about itself, versions that come later, many clients at once."""

import base64
import json
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest
import synthetic
from octets import OCTETS, frame_items, split_items

from nbmf import inspect, json_text
from nbmf.payload import to_canonical
from nbmf.version import __version__
from nbmf.wire import from_wire, to_wire


@pytest.fixture
def later_version(request, service, version):
    """A version published after the server started, and taken away again."""
    import zstandard

    samples = [to_canonical(r)[1] for r in synthetic.records(300, seed=31)]
    manifest = {
        "name": f"later, for {request.node.name}",  # an id of its own: decoders keep what they have loaded
        "created_at": "2026-02-02T00:00:00+00:00",
        "architecture": "zstd-dictionary",
        "dictionaries": {"text": "d", "json": "d", "messages": "d"},
    }
    version_id = version.registry.publish(manifest, {"d": zstandard.train_dictionary(4096, samples).as_bytes()})
    yield version_id
    version.registry.delete(version_id)


def test_health(service):
    answer = service.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_versions(service, version, later_version):
    answer = service.client.get("/v1/versions")
    assert answer.status_code == 200
    rows = {row["id"]: row for row in answer.json()["versions"]}
    assert rows.keys() == {version.id, later_version}
    assert rows[version.id]["channels"] == ["stable"]
    assert rows[version.id]["measured"] == version.trained.measured["all"]
    assert rows[version.id]["name"] == "tests"
    assert (rows[later_version]["channels"], rows[later_version]["name"]) == ([], "later, for test_versions")


def test_a_version_published_after_the_start_is_decoded(service, version, later_version):
    records = synthetic.records(6, seed=77)
    codec = version.registry.load(later_version)
    blobs = [codec.encode(r) for r in records]
    assert {inspect(b).codec for b in blobs} == {later_version[:4]}
    fields = {"blobs": [base64.b64encode(b).decode() for b in blobs]}
    status, answer = service.json("/v1/decode", fields)
    assert status == 200
    assert [r["payload"] for r in answer["results"]] == records
    # What is written still has the version that the server was started with.
    _, encoded = service.json("/v1/encode", {"payload": records[0]})
    assert encoded["codec"] == version.id[:4]


def test_a_damaged_version_is_the_servers_fault(service, version, later_version):
    """503: the record may be whole. Other versions' records are not concerned."""
    record = synthetic.records(1, seed=78)[0]
    blob = version.registry.load(later_version).encode(record)
    folder = Path(version.registry.location) / "versions" / later_version
    shutil.copytree(folder, folder.parent / ("0f" * 32))
    try:
        (folder / "d").write_bytes(b"altered")
        message = service.error(service.octets("/v1/decode", blob), 503, "damaged_codec")
        assert "altered" in message
        whole = version.codec.encode(record)
        status, answer = service.json("/v1/decode", {"blobs": [base64.b64encode(b).decode() for b in (blob, whole)]})
        assert status == 200
        assert answer["results"][0]["error"]["code"] == "damaged_codec"
        assert answer["results"][1]["payload"] == record
    finally:
        shutil.copy(folder.parent / ("0f" * 32) / "d", folder / "d")
        shutil.rmtree(folder.parent / ("0f" * 32))
    assert service.octets("/v1/decode", blob).status_code == 200


def test_ids_of_requests(service):
    """Serve has a part in them: an id is in the answer once."""
    for path, status in (("/healthz", 200), ("/v1/nothing", 404)):
        answer = service.client.get(path, headers={"X-Request-Id": "mine-1"})
        assert (answer.status_code, answer.headers.get_list("X-Request-Id")) == (status, ["mine-1"])
        made = [service.client.get(path).headers.get_list("X-Request-Id") for _ in range(2)]
        assert [len(ids) for ids in made] == [1, 1]
        assert made[0] != made[1]
    answer = service.client.post("/v1/encode", content=b"{", headers={"X-Request-Id": "not one"})
    assert answer.headers.get_list("X-Request-Id")[0] == answer.json()["error"]["request_id"] != "not one"


def test_a_request_that_has_too_little_time(service):
    """A millisecond is over when the body is read and parsed."""
    body = json.dumps({"records": [{"payload": synthetic.records(1, seed=1)[0]}] * 50}).encode()
    answer = service.client.post("/v1/encode", content=body, headers={"X-Request-Timeout-Ms": "1"})
    service.error(answer, 504, "deadline_exceeded")
    assert service.client.post("/v1/encode", content=body, headers={"X-Request-Timeout-Ms": "60000"}).is_success


# --- OpenAPI ------------------------------------------------------------------------------------------------------


def _references(value):
    if isinstance(value, dict):
        for key, child in value.items():
            if key == "$ref":
                yield child
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


@pytest.fixture(scope="module")
def api(service):
    answer = service.client.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def test_the_description_is_whole(api):
    assert api["openapi"].startswith("3.")
    assert api["info"]["title"] == "nbmf"
    assert api["info"]["version"] == __version__
    found = {(path, method) for path, methods in api["paths"].items() for method in methods}
    assert {(path, method) for path, method in found if not path.startswith("/v1/admin/")} == {
        ("/v1/encode", "post"),
        ("/v1/decode", "post"),
        ("/v1/versions", "get"),
        ("/healthz", "get"),
    }
    references = list(_references(api))
    assert references
    for reference in references:
        place = api
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]  # KeyError: the reference leads nowhere
    for path in ("/v1/encode", "/v1/decode"):
        operation = api["paths"][path]["post"]
        assert operation["summary"]
        assert {"200", "400", "401", "403", "404", "413", "415", "422", "429", "503", "504"} <= operation[
            "responses"
        ].keys()
        assert operation["requestBody"]["content"].keys() == {"application/json", "application/octet-stream"}


def test_the_latency_budget_is_described(api):
    parameters = {p["name"]: p for p in api["paths"]["/v1/encode"]["post"]["parameters"]}
    budget = parameters["latency_budget_ms"]
    assert (budget["in"], budget["required"]) == ("query", False)
    assert "server's" in budget["description"]
    number, null = budget["schema"]["anyOf"]
    assert (number["type"], number["exclusiveMinimum"], null["type"]) == ("number", 0, "null")


def test_the_effort_is_described(api):
    parameters = {p["name"]: p for p in api["paths"]["/v1/encode"]["post"]["parameters"]}
    effort = parameters["effort"]
    assert (effort["in"], effort["required"]) == ("query", False)
    choices, null = effort["schema"]["anyOf"]
    assert (choices["enum"], null["type"]) == (["auto", "fast", "max"], "null")


def test_every_schema_is_a_json_schema(api):
    schemas = dict(api["components"]["schemas"])
    for path in ("/v1/encode", "/v1/decode"):
        content = api["paths"][path]["post"]["requestBody"]["content"]
        schemas |= {f"{path} {name}": body["schema"] for name, body in content.items()}
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def _validate(api, name, value):
    schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "payload", ["text", {"a": [1]}, b"\x00", np.ones(3, "<f4"), [{"role": "user", "content": "x"}]]
)
def test_bodies_are_as_described(service, api, payload):
    request = to_wire(payload)
    described = api["paths"]["/v1/encode"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(request, described, cls=jsonschema.Draft202012Validator)
    _, encoded = service.json("/v1/encode", request)
    _validate(api, "Encoded", encoded)
    _, decoded = service.json("/v1/decode", {"blob": encoded["blob"]})
    _validate(api, "Decoded", decoded)
    _, failed = service.json("/v1/decode", {"blob": "AAAA"})
    _validate(api, "Error", failed)
    with pytest.raises(jsonschema.ValidationError):
        _validate(api, "Error", encoded)
    _validate(api, "Versions", service.client.get("/v1/versions").json())


def test_the_page_for_people(service):
    answer = service.client.get("/docs")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    described = service.client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in answer.text
    assert service.client.get(re.search("href=([^>]+)>openapi", answer.text)[1]).json() == described
    assert service.client.get("/redoc").status_code == 404


# --- many clients -------------------------------------------------------------------------------------------------


def _json(fields):
    return json_text.dumps(fields).encode("utf-8", "backslashreplace")


def _exchange(client, rng, records, version):
    """One request of some kind; how many payloads came back, each compared."""
    chosen = rng.sample(records, rng.randrange(1, 6))
    how = rng.randrange(4)
    if how == 0:
        for record in chosen:
            encoded = client.post("/v1/encode", content=_json(to_wire(record)))
            decoded = client.post("/v1/decode", content=json.dumps({"blob": encoded.json()["blob"]}))
            fields = decoded.json()
            fields.pop("kind")
            assert to_canonical(from_wire(fields)) == to_canonical(record)
    elif how == 1:
        encoded = client.post("/v1/encode", content=_json({"records": [to_wire(r) for r in chosen]}))
        blobs = [r["blob"] for r in encoded.json()["results"]]
        blobs.insert(1, "AAAA")
        results = client.post("/v1/decode", content=json.dumps({"blobs": blobs})).json()["results"]
        assert results.pop(1)["error"]["code"] == "not_a_blob"
        assert len(results) == len(chosen)
        for fields, record in zip(results, chosen, strict=True):
            fields.pop("kind")
            assert to_canonical(from_wire(fields)) == to_canonical(record)
    elif how == 2:
        body = frame_items([version.encode(r) for r in chosen])
        answer = client.post("/v1/decode", content=body, headers=OCTETS, params={"batch": True})
        expected = [(0, kind.label, data) for kind, data in map(to_canonical, chosen)]
        assert split_items(answer.content) == expected
    else:
        data = rng.randbytes(rng.randrange(3000))
        encoded = client.post("/v1/encode", content=data, headers=OCTETS)
        assert client.post("/v1/decode", content=encoded.content, headers=OCTETS).content == data
        assert client.post("/v1/decode", content=data, headers={"Content-Type": "text/plain"}).status_code == 415
    return len(chosen)


def test_many_clients_get_their_own_payloads(service, version):
    records = [*synthetic.records(90, seed=60), b"\x00" * 400, "\ud800", 10**30, {"z": -0.0, "a": [1.0, 1]}]
    codec = version.codec

    def client(number):
        rng = random.Random(number)
        with httpx.Client(base_url=service.url, timeout=60) as connection:
            return sum(_exchange(connection, rng, records, codec) for _ in range(20))

    with ThreadPoolExecutor(8) as threads:
        exchanged = list(threads.map(client, range(8)))
    assert all(count >= 20 for count in exchanged)
