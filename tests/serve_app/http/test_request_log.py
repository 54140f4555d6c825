"""Ids of requests, and the log: a line of JSON for each request, without anything of its contents."""

import asyncio
import base64
import json
import logging
import re
from datetime import UTC, datetime

import pytest
from kept_logs import keep
from keys import entry
from octets import OCTETS, frame_items
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from cluster.registry import Registry
from nbmf import Codec
from serve_app.observe.request_ids import request_id

MARKER = "Anna-prefers-the-window-seat"
WRITER = "nbmf_writers-key"
FIELDS = {
    "time",
    "request_id",
    "method",
    "route",
    "status",
    "code",
    "api_key",
    "records",
    "bytes_in",
    "bytes_out",
    "duration_ms",
}


@pytest.fixture
def log(monkeypatch):
    """What is written: lines of requests, then those of faults."""
    return keep(monkeypatch, "nbmf.requests", "ray.serve")


def _only(log):
    (line,) = (line for line in log if line.startswith("{"))  # others tell of parts that were lost
    log.clear()
    return json.loads(line)


# --- ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("received", ["a", "A-1_b.c", "0" * 128, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"])
def test_ids_that_are_taken(received):
    assert request_id(received) == received


MALFORMED = ["", " ", "a b", "a\nb", "a\n", "a" * 129, "é", "<script>", "a;b", '"', "{}", "\x1b[31m", "a/b"]


@pytest.mark.parametrize("received", [None, *MALFORMED])
def test_ids_that_are_replaced(received):
    made = request_id(received)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert request_id(received) != made


@pytest.mark.parametrize("received", [m for m in MALFORMED if "\n" not in m and "\x1b" not in m])
def test_a_malformed_id_is_nowhere(in_process, log, received):
    answer = in_process()("POST", "/v1/encode", content=b"{", headers={"X-Request-Id": received.encode()})
    (made,) = answer.headers.get_list("X-Request-Id")
    assert made != received
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert answer.json()["error"]["request_id"] == made
    assert _only(log)["request_id"] == made


REQUESTS = {
    "done": ("POST", "/v1/encode", b'{"payload": 1}', 200),
    "not understood": ("POST", "/v1/encode", b"{", 400),
    "bad parameter": ("POST", "/v1/encode?kind=xml", b"", 400),
    "failed record": ("POST", "/v1/decode", b'{"blob": "AAAA"}', 422),
    "no route": ("GET", "/v1/nothing", b"", 404),
    "no method": ("PUT", "/v1/encode", b"", 405),
    "unwell": ("GET", "/healthz", b"", 503),
    "versions": ("GET", "/v1/versions", b"", 200),
    "description": ("GET", "/openapi.json", b"", 200),
}


async def is_lost():
    raise ConnectionError


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS.values(), ids=REQUESTS.keys())
def test_every_answer_and_line_has_an_id(in_process, log, method, path, body, status):
    ask = in_process(ready=is_lost) if status == 503 else in_process()
    answer = ask(method, path, content=body)
    made = answer.headers["X-Request-Id"]
    line = _only(log)
    assert (answer.status_code, line["status"], line["request_id"]) == (status, status, made)
    assert ask(method, path, content=body).headers["X-Request-Id"] != made
    log.clear()
    answer = ask(method, path, content=body, headers={"X-Request-Id": "mine"})
    assert _only(log)["request_id"] == "mine"
    if status >= 400:
        error = answer.json()["error"]
        assert error.keys() == {"code", "message", "request_id"}
        assert error["request_id"] == "mine"


# --- lines --------------------------------------------------------------------------------------------------------


def test_a_line(in_process, log):
    body = json.dumps({"records": [{"payload": "a"}, {"payload": "b"}, {}]}).encode()
    answer = in_process(api_keys=[entry("writer", WRITER, "encode")])(
        "POST", "/v1/encode?effort=fast", content=body, headers={"X-Api-Key": WRITER, "X-Request-Id": "r-1"}
    )
    assert answer.status_code == 200
    line = _only(log)
    assert line.keys() == FIELDS
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))).days == 0
    assert line.pop("duration_ms") > 0
    assert line == {
        "request_id": "r-1",
        "method": "POST",
        "route": "/v1/encode",
        "status": 200,
        "code": None,
        "api_key": "writer",
        "records": 3,
        "bytes_in": len(body),
        "bytes_out": len(answer.content),
    }


def test_a_line_of_a_request_that_failed(in_process, log):
    in_process()("POST", "/v1/decode", content=b"hello", headers=OCTETS)
    line = _only(log)
    assert (line["status"], line["code"], line["records"], line["bytes_in"]) == (422, "not_a_blob", 1, 5)
    in_process()("GET", f"/{MARKER}?{MARKER}")
    line = _only(log)
    assert (line["status"], line["code"], line["route"], line["records"]) == (404, "not_found", None, None)


def test_the_name_of_a_key_without_the_role(in_process, log):
    ask = in_process(api_keys=[entry("writer", WRITER, "encode")])
    ask("POST", "/v1/decode", headers={"X-Api-Key": WRITER})
    assert (_only(log)["api_key"], log) == ("writer", [])
    ask("POST", "/v1/decode", headers={"X-Api-Key": "unknown"})
    line = _only(log)
    assert (line["api_key"], line["code"], line["status"]) == (None, "unauthorized", 401)


def test_no_log(in_process, log):
    assert in_process(access_log=False)("POST", "/v1/encode", content=b'{"payload": 1}').status_code == 200
    assert log == []


def test_lines_go_to_standard_error(in_process, capfd, monkeypatch):
    """Of the process: sys.stderr may be something else, as in a replica."""
    monkeypatch.setattr(logging.getLogger("nbmf.requests"), "handlers", [])
    monkeypatch.setattr("sys.stderr", None)
    for _ in range(2):
        in_process()("GET", "/v1/versions")
    lines = capfd.readouterr().err.splitlines()
    assert [json.loads(line)["route"] for line in lines] == ["/v1/versions"] * 2


def test_a_client_that_hangs_up(in_process, log):
    app = in_process().ingress.__serve_build_asgi_app__()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/encode",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
    }

    async def never():
        await asyncio.Event().wait()

    async def hang_up():
        task = asyncio.create_task(app(scope, never, never))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert asyncio.run(hang_up())
    line = _only(log)
    assert (line["status"], line["code"], line["route"]) == (None, "cancelled", "/v1/encode")


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode", "/v1/admin/rollout/start"])
def test_a_client_that_hangs_up_in_the_middle_of_its_body(in_process, log, path):
    app = in_process().ingress.__serve_build_asgi_app__()
    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    line = _only(log)
    assert (line["status"], line["code"], line["route"], line["bytes_in"]) == (None, "cancelled", path, 1)
    assert sent == []


# --- nothing of what they hold ------------------------------------------------------------------------------------

BLOB = Codec().encode(MARKER)
CONFIDENTIAL = {
    "json": ("/v1/encode", json.dumps({"payload": MARKER}).encode(), {}),
    "batch": ("/v1/encode", json.dumps({"records": [{"payload": MARKER}, {MARKER: 1}]}).encode(), {}),
    "not an object": ("/v1/encode", json.dumps([MARKER]).encode(), {}),
    "not JSON": ("/v1/encode", b"{" + MARKER.encode(), {}),
    "unknown field": ("/v1/encode", json.dumps({"payload": 1, MARKER: 1}).encode(), {}),
    "octets": ("/v1/encode", MARKER.encode(), OCTETS),
    "octets as JSON": ("/v1/encode?kind=json", MARKER.encode(), OCTETS),
    "octets in a batch": ("/v1/encode?batch=true", frame_items([MARKER.encode()]), OCTETS),
    "media type": ("/v1/encode", b"", {"Content-Type": MARKER}),
    "query": (f"/v1/encode?kind={MARKER}", b"", OCTETS),
    "path": (f"/v1/{MARKER}", b"", {}),
    "key": ("/v1/encode", b"{}", {"X-Api-Key": MARKER}),
    "id": ("/v1/encode", b"{}", {"X-Request-Id": f"{MARKER}!"}),
    "blob": ("/v1/decode", json.dumps({"blob": base64.b64encode(BLOB).decode()}).encode(), {}),
    "stored blob": ("/v1/decode", BLOB, OCTETS),
    "damaged blob": ("/v1/decode", BLOB + b"x", OCTETS),
    "not base64": ("/v1/decode", json.dumps({"blob": MARKER + "!"}).encode(), {}),
}


@pytest.mark.parametrize("keys", [[], [entry("writer", WRITER, "encode")]], ids=["open", "keys"])
@pytest.mark.parametrize(("path", "body", "headers"), CONFIDENTIAL.values(), ids=CONFIDENTIAL.keys())
def test_no_contents_in_the_log(in_process, log, path, body, headers, keys):
    in_process(api_keys=keys)("POST", path, content=body, headers=headers)
    (line,) = log
    assert json.loads(line).keys() == FIELDS
    assert MARKER not in line
    assert base64.b64encode(BLOB).decode()[:12] not in line


def test_no_contents_in_the_log_of_a_fault(in_process, log, monkeypatch):
    """Where a record breaks the coder, the message of the error may quote it."""

    def breaks(*_, **__):
        raise KeyError(MARKER)

    monkeypatch.setattr(Codec, "encode_canonical_measured", breaks)
    answer = in_process()("POST", "/v1/encode", json={"payload": MARKER})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "KeyError" in "".join(log)
    assert "in attempt_all" in "".join(log)
    assert MARKER not in "".join(log)


def test_a_fault_of_the_ingress_is_answered_and_logged(in_process, log):
    async def encode(*_):
        raise KeyError(MARKER)

    answer = in_process(encode=encode)("POST", "/v1/encode", json={"payload": MARKER})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (500, "internal_error")
    assert answer.headers["X-Request-Id"] == error["request_id"]
    assert MARKER not in answer.text
    fault, line = log
    assert error["request_id"] in fault
    assert "KeyError" in fault
    assert (json.loads(line)["status"], json.loads(line)["code"]) == (500, "internal_error")
    assert MARKER not in fault + line


# --- overload -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BackPressureError(201, 200), (429, "overloaded")),
        (DeploymentUnavailableError("Encoder"), (503, "unavailable")),
        (ActorDiedError(), (503, "unavailable")),
    ],
)
def test_when_to_come_again(in_process, log, error, expected):
    async def encode(*_):
        raise error

    answer = in_process(encode=encode)("POST", "/v1/encode", json={"payload": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert int(answer.headers["Retry-After"]) > 0
    assert _only(log)["code"] == expected[1]


def test_a_registry_that_cannot_be_read_is_the_servers_fault(in_process, tmp_path):
    ask = in_process()
    Registry(tmp_path / "registry")
    (tmp_path / "registry").mkdir(exist_ok=True)
    (tmp_path / "registry" / "channels.json").write_text("{")
    answer = ask("GET", "/v1/versions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "registry_error")
    assert "Retry-After" in answer.headers
