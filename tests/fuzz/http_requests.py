"""Target: requests over HTTP, and gRPC calls. Each is answered, in the documented form, never by a fault of the server;
what is encoded is decoded to what was sent.

An input is a request as the service gets it from a server of HTTP: bytes are written as Latin-1. A path of gRPC calls
that method; the headers are its metadata, the body its message. `keys`: of the service that has API keys; `apart`: the
body is read in a process of its own, as large ones are.
"""

import asyncio
import atexit
import base64
import json
import random
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import blobs
import keys
import mutate
from google.protobuf.message import DecodeError
from grpc_payloads import canonical_of
from in_process import Context, make_ingress, make_replicas
from octets import frame_items, split_items

from cluster.registry import Registry
from nbmf import wire
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.grpc import statuses
from serve_app.grpc.registration import parsed_if_possible
from serve_app.http import schemas
from serve_app.observe import request_ids
from serve_app.reading import reader
from serve_app.work.results import Failure

Input: TypeAlias = dict[str, Any]

SUFFIX = ".json"
_VERSION = blobs.GOLDEN / "versions" / "09a4de36ca6e3bcc2adca7ea72577b98cc075ab78ab18b5fbb0812d51b3bd316"
_LIMITS = {
    "max_body_bytes": 1 << 16,
    "max_payload_bytes": 1 << 16,
    "max_batch_records": 8,
    "max_batch_payload_bytes": 1 << 17,
}
_OWN_PROCESS_BYTES = reader.OWN_PROCESS_BYTES
_MOST_ANSWER_BYTES = 8 * _LIMITS["max_batch_payload_bytes"]  # a character of text is six bytes of JSON at most
_KEY = "nbmf_a-key"
_GRPC = "/nbmf.v1.Codec/"
_JSON, _OCTETS = "application/json", "application/octet-stream"
_OF_NO_ROUTE = {404: "not_found", 405: "method_not_allowed"}
_PASSING = {503, 504}  # faults of none: a version that is not there, a deadline that is over

_METHODS = {
    "Encode": pb.EncodeRequest,
    "EncodeBatch": pb.EncodeBatchRequest,
    "Decode": pb.DecodeRequest,
    "DecodeBatch": pb.DecodeBatchRequest,
    "Versions": pb.VersionsRequest,
}
_PATHS = (
    "/v1/encode", "/v1/decode", "/v1/encode", "/v1/decode", "/v1/versions", "/healthz", "/openapi.json", "/docs", "/",
    "/v1/admin/rollout", "/v1/admin/rollout/history", "/v1/admin/recent", "/v1/admin/quarantine/release",
    *(f"/v1/admin/rollout/{action}" for action in ("start", "advance", "pause", "resume", "rollback")),
    *(_GRPC + method for method in _METHODS), "/v1", "/v1/encode/", "//v1/encode", "/v1/\udcff", "/\0",
)  # fmt: skip
_HEADERS: dict[str, tuple[str, ...]] = {
    "content-type": (
        _JSON, _OCTETS, "application/json; charset=utf-16", 'application/json; charset="utf-8"', "application/json;",
        "text/plain", "", ";", "application/json; charset*=x''%ff", "application/json; charset*0=ut; charset*1=f-8",
        "multipart/form-data; boundary=x", "\xe9\xff",
    ),
    "content-length": ("0", "1", "-1", "99999999999999999999999", "1e3", "", "\xb2", "65537"),
    "content-encoding": ("identity", "gzip", "br, gzip", "", "\xff"),
    "transfer-encoding": ("chunked", "gzip", ""),
    "x-request-id": ("an-id", "\xe9\xff", "x" * 200, "", "a b", "a\tb"),
    "x-request-timeout-ms": ("1000", "1", "0", "-5", "9" * 5000, "1.5", "", "inf", "\xb2", "1e3"),
    "host": ("localhost", "127.0.0.1:8000", "[::1]:1", "evil.example", "[", "", "127.0.0.1@evil.example", "\xff"),
    "origin": ("null", "http://127.0.0.1", "http://evil.example", "", "\xff"),
    "authorization": (f"Bearer {_KEY}", "Bearer", "Bearer ", f"bearer {_KEY}", "Basic eDp5", "\xff", ""),
    "x-api-key": (_KEY, "", "\xe9\xff", "x" * 5000),
    "expect": ("100-continue",),
    "accept-encoding": ("gzip",),
    "range": ("bytes=0-0",),
    "x-http-method-override": ("GET",),
    "cookie": ("a=\xff; b",),
}  # fmt: skip
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "kind": ("bytes", "text", "json", "array", ""),
    "batch": ("true", "false", "1", "yes", "x"),
    "effort": ("auto", "fast", "max", "none", ""),
    "latency_budget_ms": ("10", "1e308", "1e999", "-1", "0", "nan", "inf", "1_0", "%00"),
    "key": ("a", "", "%ff", "%ed%a0%80", "%F0%9F%98%80", "+"),
    "limit": ("1", "0", "1000", "99999999999999999999"),
    "other": ("", "x"),
}
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][-+.eE0-9]*|[a-zA-Z]+|[][{},:]|\s+|.', re.DOTALL)
_TOKENS = (
    "null", "true", "NaN", "-Infinity", "0", "-0", "1.50", "1e400", "-1e-400", "0.1234567890123456789012345", "9" * 25,
    "1" + "0" * 4300, "9" * 5000, '""', '"a"', '"\\ud800"', '"\\ud800\\udc00"', '"\ud800"', '"\\u0000"', '"\\x"', '"',
    "[]", "{}", "[[]]", '{"a":1,"a":2}', '{"":{"":[]}}', "[" * 300 + "]" * 300, "[" * 12_000, "[]," * 3000, "\ufeff",
    '{"role":"user","content":"hi"}', '[{"role":"user","content":null}]', '"payload"', '"bytes_base64"', '"blob"',
    '"text_base64"', '"json_base64"', '"array"', '"records"', '"blobs"', '"key"', '"fidelity"', '"lossless"', '"AAA="',
    '"semantic"', '"dtype"', '"float32"', '"bfloat16"', '"bool"', '"shape"', "[2]", "[0,9]", "[1e3]", "[-1]", '"7aCA"',
    '"data_base64"', '"AACAPwAAAEA="', '"byte_order"', '"big"', '"library"', '"torch"', '"version"', '"rollout"', "1e3",
    '"policy"', '"round"', '"force"', ",", ":", "[", "]", "{", "}", " ", "\n", "/**/",
)  # fmt: skip
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r"(?<!\S)[A-Za-z]+(?=[\s,:;.]|$)")


def seeds() -> list[Input]:
    """A request of each sort."""
    texts = [
        '{"payload":"Remember the milk."}',
        '{"payload":{"a":[1.50,-0,1e400,null,true],"b":{"c":"d\\ud800"}},"key":"k","fidelity":"lossless"}',
        '{"payload":[{"role":"user","content":"hi"},{"role":"tool","content":null}]}',
        '{"bytes_base64":"AAEC/w=="}',
        '{"text_base64":"7aCA7bCA"}',
        '{"json_base64":"eyJhIjoi7aCA7bCAIn0="}',
        '{"array":{"dtype":"float32","shape":[2],"data_base64":"AACAPwAAAEA="}}',
        '{"array":{"dtype":"int16","shape":[1,2],"data_base64":"AQACAA==","byte_order":"big","library":"numpy"}}',
        '{"records":[{"payload":1},{"payload":"x","key":"a"},{"bytes_base64":"!"},7]}',
    ]
    requests = [_request("/v1/encode", text) for text in texts]
    some = blobs.seeds()[::9]
    encoded = [base64.b64encode(blob).decode() for blob in some]
    requests += [_request("/v1/decode", json.dumps({"blob": text})) for text in encoded]
    requests.append(_request("/v1/decode", json.dumps({"blobs": encoded[:4]})))
    for query, body in (
        ("kind=text", "Zürich".encode()),
        ("kind=json&effort=fast", b'{"a": [1, 2.50, "x"]}'),
        ("latency_budget_ms=5&key=a", bytes(range(256))),
        ("batch=true&kind=text", frame_items([b"a", "ü".encode(), b"\xff"])),
    ):
        requests.append(_request("/v1/encode", _latin(body), query, _OCTETS))
    requests.append(_request("/v1/decode", _latin(some[0]), "", _OCTETS))
    requests.append(_request("/v1/decode", _latin(frame_items(some[:4])), "batch=true", _OCTETS))
    requests += [_request(path, "", method="GET") for path in _PATHS if not path.startswith(_GRPC)]
    requests += [
        _request(f"/v1/admin/rollout/{action}", '{"rollout":"x","round":0}') for action in ("advance", "pause")
    ]
    requests += [
        _request(path, '{"version":"x","policy":{}}') for path in _PATHS if path.endswith(("start", "release"))
    ]
    for method, message in _grpc_seeds(some):
        requests.append(_request(_GRPC + method, _latin(message.SerializeToString())))
    return requests


def _request(path: str, body: str, query: str = "", media_type: str = _JSON, method: str = "POST") -> Input:
    return {
        "keys": False,
        "apart": False,
        "method": method,
        "path": path,
        "query": query,
        "headers": [["host", "127.0.0.1"], ["content-type", media_type], ["content-length", str(len(body))]],
        "body": body,
        "cuts": [],
        "cut off": False,
    }


def _latin(data: bytes) -> str:
    return data.decode("latin-1")


def _grpc_seeds(some: list[bytes]) -> list[tuple[str, Any]]:
    array = pb.Array(dtype="float32", shape=[2], data=b"\0\0\x80?\0\0\0@", big_endian=True)
    payloads = [
        pb.Payload(text="a\ud800".encode("utf-8", "surrogatepass")),
        pb.Payload(json=b'{"a":[1.50,null]}'),
        pb.Payload(binary=b"\0\xff"),
        pb.Payload(array=array),
        pb.Payload(),
    ]
    records = [pb.Record(payload=payload, key="k") for payload in payloads]
    options = pb.EncodeOptions(effort=pb.EFFORT_AUTO, latency_budget_ms=5)
    return [
        *(("Encode", pb.EncodeRequest(record=record)) for record in records),
        ("EncodeBatch", pb.EncodeBatchRequest(records=records, options=options)),
        *(("Decode", pb.DecodeRequest(blob=blob)) for blob in some[:3]),
        ("DecodeBatch", pb.DecodeBatchRequest(blobs=some[:4])),
        ("Versions", pb.VersionsRequest()),
    ]


def run(request: Input) -> str:
    """What became of it; after the first line, in which words. Raises whatever must not happen."""
    service = _service()
    reader.OWN_PROCESS_BYTES = 0 if request["apart"] else _OWN_PROCESS_BYTES
    if request["path"].startswith(_GRPC) and request["path"][len(_GRPC) :] in _METHODS:
        return service.run(_over_grpc(service, request))
    return service.run(_over_http(service, request))


class _Service:
    """Two ingresses, of which one has API keys, in front of the same replicas, and the loop that they live in."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._folder = folder = Path(tempfile.mkdtemp(prefix="nbmf-fuzz-"))
        atexit.register(self._close)
        (folder / "versions").mkdir()
        shutil.copytree(_VERSION, folder / "versions" / _VERSION.name)
        registry = Registry(folder)
        registry.assign("stable", _VERSION.name)
        self.run(self._start(registry.location))

    async def _start(self, registry: str) -> None:
        encoder, decoder = make_replicas(registry, _VERSION.name, _LIMITS["max_payload_bytes"])
        how = {"access_log": False, **_LIMITS}
        entry = keys.entry("all", _KEY, "encode", "decode", "admin")
        self.ingresses = [
            make_ingress(registry, _VERSION.name, encoder.encode, decoder.decode, **how, api_keys=listed)
            for listed in ([], [entry])
        ]
        self.apps = [ingress.__serve_build_asgi_app__() for ingress in self.ingresses]

    def _close(self) -> None:
        for ingress in self.ingresses:
            ingress._reader.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)


@cache
def _service() -> _Service:
    return _Service()


# --- HTTP -------------------------------------------------------------------------------------------------------------


async def _over_http(service: _Service, request: Input) -> str:
    body = request["body"].encode("latin-1", "replace")
    answer = await _ask(service, request, body)
    if answer is None:
        assert request["cut off"]
        return "cut off"
    status, headers, content = answer
    _check_head(request, headers, content)
    if status >= 400:
        assert status != 422 or not _is_batch(request, body), content  # a record's fault is that record's
        return _check_error(status, headers, content)
    if status == 200 and request["path"] == "/v1/encode":
        return await _check_encoded(service, request, body, dict(headers), content)
    if status == 200 and request["path"] == "/v1/decode":
        return await _check_decoded(service, request, body, dict(headers), content)
    assert status < 400
    return f"{status}\n{request['path']}"


async def _ask(service: _Service, request: Input, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
    """(status, headers, body), or nothing."""
    path = request["path"].encode("utf-8", "surrogateescape")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": "http",
        "path": request["path"],
        "raw_path": path,
        "root_path": "",
        "query_string": request["query"].encode("latin-1", "replace"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request["headers"]],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    waiting = list(_pieces(request, body))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await service.apps[request["keys"]](scope, receive, send)
    if not sent:
        return None
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert [part["type"] for part in parts] == ["http.response.body"] * len(parts)
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"]]
    return start["status"], headers, b"".join(part.get("body", b"") for part in parts)


def _is_batch(request: Input, body: bytes) -> bool:
    media_type = next((value for name, value in request["headers"] if name == "content-type"), _JSON)
    if _OCTETS in media_type.lower():
        return "batch=true" in request["query"].split("&")
    fields = _read_elsewhere(body)
    return isinstance(fields, dict) and ("records" in fields or "blobs" in fields)


def _pieces(request: Input, body: bytes) -> Any:
    at = 0
    for cut in request["cuts"]:
        yield {"type": "http.request", "body": body[at : at + cut], "more_body": True}
        at += cut
    if not request["cut off"]:
        yield {"type": "http.request", "body": body[at:], "more_body": False}


def _check_head(request: Input, headers: list[tuple[str, str]], content: bytes) -> None:
    for name, value in headers:
        assert re.fullmatch(r"[!-~]+", name), name
        assert not re.search(r"[\r\n\0]", value), (name, value)
    lengths = [value for name, value in headers if name == "content-length"]
    assert lengths in ([], [str(len(content))]), lengths
    received = next((value for name, value in request["headers"] if name == "x-request-id"), None)
    given = [value for name, value in headers if name == "x-request-id"]
    if request_ids.request_id(received) == received:
        assert given == []  # Serve itself answers with it
    else:
        assert len(given) == 1
        assert request_ids.request_id(given[0]) == given[0]
    if request["path"] in ("/v1/encode", "/v1/decode"):
        assert len(content) <= _MOST_ANSWER_BYTES


def _check_error(status: int, headers: list[tuple[str, str]], content: bytes) -> str:
    assert dict(headers)["content-type"] == _JSON
    error = schemas.Error.model_validate_json(content).error
    _check_problem(error)
    assert status in (Failure(error.code, "").status, *(s for s, code in _OF_NO_ROUTE.items() if code == error.code))
    return _outcome(status, error)


def _check_problem(problem: schemas.Problem) -> None:
    status = Failure(problem.code, "").status
    assert status < 500 or status in _PASSING, problem
    assert problem.code
    assert problem.message


def _outcome(status: Any, problem: schemas.Problem) -> str:
    """With the words that the message ends with: what it quotes is before these."""
    words = _WORD.findall(_QUOTED.sub(" ", problem.message))
    return f"{status} {problem.code}\n{' '.join(words[-3:])}"


async def _check_encoded(
    service: _Service, request: Input, body: bytes, headers: dict[str, str], content: bytes
) -> str:
    """What each blob decodes to is what the record said."""
    if headers["content-type"] == _JSON:
        sent = wire.load(body)
        is_batch = "records" in sent
        given = json.loads(content)
        results = given["results"] if is_batch else [given]
        for record, result in zip(sent["records"] if is_batch else [sent], results, strict=True):
            if "error" in result:
                _check_problem(schemas.Failed.model_validate(result).error)
                continue
            told = schemas.Encoded.model_validate(result)
            decoded = await _json_of(service, base64.b64decode(told.blob))
            assert decoded.pop("kind") == told.kind
            fields = {name: record[name] for name in wire.PAYLOAD_FIELDS if name in record}
            assert wire.canonical_from_wire(fields) == wire.canonical_from_wire(decoded)
            if not is_batch and "payload" in record and "payload" in decoded:  # as the standard library reads it
                assert repr(_read_elsewhere(body, "payload")) == repr(_read_elsewhere(wire.dump(decoded), "payload"))
        return _told("encoded", results)
    if "x-nbmf-kind" in headers:
        return f"encoded\noctets of {await _check_octets(service, body, content)}"
    results = split_items(content)
    for record, (failed, _, blob) in zip(_items(body), results, strict=True):
        if failed:
            _check_problem(schemas.Problem.model_validate_json(blob))
        else:
            await _check_octets(service, record, blob)
    return f"encoded\nbatch of octets {[failed for failed, *_ in results[:1]]}"


async def _check_octets(service: _Service, record: bytes, blob: bytes) -> str:
    decoded, headers = await _again(service, "/v1/decode", blob, _OCTETS)
    kind = headers["x-nbmf-kind"]
    if kind in ("bytes", "text"):
        assert decoded == record or (kind == "text" and record[:1] == b'"')  # text that JSON wrote
    else:
        assert repr(_read_elsewhere(decoded)) == repr(_read_elsewhere(record))
    return kind


def _read_elsewhere(text: bytes, field: str | None = None) -> Any:
    """What the standard library reads, of a field of it; None where it does not."""
    try:
        value = json.loads(text.decode("utf-8", "surrogatepass"))
        return value if field is None else value[field]
    except (ValueError, RecursionError):
        return None


async def _check_decoded(
    service: _Service, request: Input, body: bytes, headers: dict[str, str], content: bytes
) -> str:
    """What is encoded again is decoded to the same; as octets it is the same as in JSON."""
    if "x-nbmf-kind" in headers:
        fields = await _json_of(service, body)
        assert fields["kind"] == headers["x-nbmf-kind"]
        kind, canonical = wire.canonical_from_wire({name: fields[name] for name in fields if name != "kind"})
        if kind.label == fields["kind"] in ("text", "bytes"):
            assert canonical == content
        return f"decoded\noctets of {fields['kind']}"
    if headers["content-type"] == _OCTETS:
        return "decoded\nbatch of octets"
    given = wire.load(content)
    results = given.get("results", [given])
    for result in results:
        if "error" in result:
            _check_problem(schemas.Failed.model_validate(result).error)
            continue
        fields = {name: value for name, value in result.items() if name != "kind"}
        encoded = json.loads((await _again(service, "/v1/encode", wire.dump(fields), _JSON))[0])
        again = await _json_of(service, base64.b64decode(encoded["blob"]))
        assert wire.dump(again | {"kind": result["kind"]}) == wire.dump(result)  # a forged blob says any kind
    return _told("decoded", results)


async def _json_of(service: _Service, blob: bytes) -> dict[str, Any]:
    """What the service decodes a blob to."""
    body = json.dumps({"blob": base64.b64encode(blob).decode()}).encode()
    fields: dict[str, Any] = wire.load((await _again(service, "/v1/decode", body, _JSON))[0])
    return fields


def _told(what: str, results: list[Any]) -> str:
    first = [one["error"]["code"] if "error" in one else one["kind"] for one in results[:1]]
    return f"{what}\n{len(results) > 1} {first}"


async def _again(service: _Service, path: str, body: bytes, media_type: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer, which is 200, to a request of the target's own."""
    answer = await _ask(service, _request(path, _latin(body), "", media_type), body)
    assert answer is not None
    status, headers, content = answer
    assert status == 200, (path, body, content)
    return content, dict(headers)


# --- gRPC -------------------------------------------------------------------------------------------------------------


async def _over_grpc(service: _Service, request: Input) -> str:
    method, body = request["path"][len(_GRPC) :], request["body"].encode("latin-1", "replace")
    answer, context = await _call(service, request["keys"], method, body, request["headers"])
    code = context.trailing.get(statuses.CODE)
    if code is not None:
        failure = Failure(code, context.details)
        _check_problem(schemas.Problem(code=code, message=context.details))
        assert context.status is statuses.status_of(failure)
        assert answer == type(answer)()
        return _outcome(context.status.name, schemas.Problem(code=code, message=context.details))
    assert context.status.name == "OK"
    answer.SerializeToString()
    if method in ("Encode", "EncodeBatch"):
        asked = _METHODS[method].FromString(body)
        records = asked.records if method == "EncodeBatch" else [asked.record]
        results = [r.encoded if r.HasField("encoded") else r.failure for r in getattr(answer, "results", [])] or [
            answer
        ]
        for record, result in zip(records, results, strict=True) if records else ():
            if isinstance(result, pb.Failure):
                _check_problem(schemas.Problem(code=result.code, message=result.message))
                continue
            message = pb.DecodeRequest(blob=result.blob).SerializeToString()
            decoded, ended = await _call(service, False, "Decode", message, [])
            assert ended.status.name == "OK"
            assert canonical_of(decoded.payload) == canonical_of(record.payload)
    return f"OK {method}"


async def _call(
    service: _Service, with_keys: bool, method: str, body: bytes, headers: list[list[str]]
) -> tuple[Any, Context]:
    parsed = parsed_if_possible(_METHODS[method].FromString)(body)
    context = Context([(name, value) for name, value in headers])
    answer = await getattr(service.ingresses[with_keys], method)(parsed, context)
    return answer, context


# --- changes ----------------------------------------------------------------------------------------------------------


def mutated(request: Input, rng: random.Random, other: Input) -> Input:
    """The request with one to three changes."""
    changed = {**request, "headers": [list(pair) for pair in request["headers"]], "cuts": [*request["cuts"]]}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        match rng.randrange(12):
            case 0:
                changed["headers"] = _changed_headers(changed["headers"], rng, other)
            case 1:
                changed["query"] = _changed_query(changed["query"], rng, other)
            case 2 if rng.random() < 0.5:
                changed["path"] = rng.choice((*_PATHS, other["path"]))
            case 2:
                changed["method"] = rng.choice(("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "X"))
            case 3:
                size = len(changed["body"]) + 1
                changed["cuts"] = [rng.randrange(size) for _ in range(rng.randrange(4))]
                changed["cut off"] = rng.random() < 0.3
            case 4 if rng.random() < 0.5:
                changed["apart"] = not changed["apart"]
            case 4:
                changed["keys"] = not changed["keys"]
                if changed["keys"] and rng.random() < 0.7:
                    changed["headers"].append(["authorization", f"Bearer {_KEY}"])
            case _:
                changed["body"] = _changed_body(changed, rng, other)
                if rng.random() < 0.9:
                    lengths = [pair for pair in changed["headers"] if pair[0] == "content-length"]
                    for pair in lengths:
                        pair[1] = str(len(changed["body"]))
    changed["body"] = changed["body"][: 2 * _LIMITS["max_body_bytes"]]
    return changed


def _changed_headers(headers: list[list[str]], rng: random.Random, other: Input) -> list[list[str]]:
    name = rng.choice([*_HEADERS])
    kept = [pair for pair in headers if pair[0] != name or rng.random() < 0.2]
    match rng.randrange(4):
        case 0:
            return kept
        case 1:
            return [*kept, *([list(rng.choice(other["headers"]))] if other["headers"] else [])]
        case _:
            return [*kept, [name, rng.choice(_HEADERS[name])]]


def _changed_query(query: str, rng: random.Random, other: Input) -> str:
    pairs = [pair for pair in query.split("&") if pair]
    match rng.randrange(6):
        case 0 if pairs:
            del pairs[rng.randrange(len(pairs))]
        case 1:
            pairs += [pair for pair in other["query"].split("&") if pair]
        case 2:
            return _latin(mutate.octets(query.encode("latin-1", "replace"), rng))
        case _:
            name = rng.choice([*_PARAMETERS])
            pairs.append(f"{name}={rng.choice(_PARAMETERS[name])}")
    return "&".join(pairs[-6:])


def _changed_body(request: Input, rng: random.Random, other: Input) -> str:
    body, theirs = (one["body"].encode("latin-1", "replace") for one in (request, other))
    if rng.random() < 0.15:
        return _latin(mutate.octets(body, rng, theirs))
    if request["path"].startswith(_GRPC):
        return _latin(_changed_message(request["path"][len(_GRPC) :], body, rng, theirs))
    if body[:1] in (b"{", b"["):
        return _changed_json(request["body"], rng, other["body"])
    if "batch=true" in request["query"]:
        return _latin(_changed_items(body, rng, theirs))
    if request["path"] == "/v1/decode":
        return _latin(blobs.mutated(body, rng, theirs))
    return _latin(mutate.octets(body, rng, theirs))


def _changed_json(text: str, rng: random.Random, other: str) -> str:
    """Tokens that go, come, are others, move; blobs and other base64 changed in what they stand for."""
    tokens = _TOKEN.findall(text)
    if not tokens:
        return text
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(tokens) + 1)
        match rng.randrange(8):
            case 0:
                del tokens[at : at + rng.choice((1, 1, 2, 4))]
            case 1:
                begin = rng.randrange(len(tokens) + 1)
                tokens[at:at] = tokens[begin : begin + rng.choice((1, 2, 4, 8))]
            case 2:
                theirs = _TOKEN.findall(other)
                begin = rng.randrange(len(theirs) + 1)
                tokens[at:at] = theirs[begin : begin + rng.choice((1, 2, 4, 8))]
            case 3:
                tokens.insert(at, _utf8(rng.choice(_TOKENS)))
            case 4 | 5:
                values = [i for i, token in enumerate(tokens) if token[0] not in " \n,:[]{}"]
                if values:
                    tokens[rng.choice(values)] = _utf8(rng.choice(_TOKENS))
            case _:
                encoded = [i for i, token in enumerate(tokens) if len(token) > 6 and token[0] == '"']
                if encoded:
                    index = rng.choice(encoded)
                    tokens[index] = _changed_string(tokens[index], rng)
        if not tokens:
            break
    return "".join(tokens)


def _utf8(text: str) -> str:
    """As bytes are written here."""
    return _latin(text.encode("utf-8", "surrogatepass"))


def _changed_string(token: str, rng: random.Random) -> str:
    try:
        data = base64.b64decode(token[1:-1], validate=True)
    except ValueError:
        return '"' + _latin(mutate.octets(token[1:-1].encode("latin-1"), rng)) + '"'
    return '"' + base64.b64encode(blobs.mutated(data, rng, data)).decode() + '"'


def _items(body: bytes) -> list[bytes]:
    """Of a batch of octets."""
    items, at = [], 0
    while at < len(body) and len(items) < 10:
        size = int.from_bytes(body[at : at + 4], "little")
        items.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return items


def _changed_items(body: bytes, rng: random.Random, other: bytes) -> bytes:
    items = _items(body)
    if not items:
        return mutate.octets(body, rng, other)
    index = rng.randrange(len(items))
    match rng.randrange(4):
        case 0:
            del items[index]
        case 1:
            items.insert(index, items[rng.randrange(len(items))])
        case _:
            items[index] = blobs.mutated(items[index], rng, other)
    framed = frame_items(items)
    return framed if rng.random() < 0.9 else framed[: rng.randrange(len(framed) + 1)]


def _changed_message(method: str, body: bytes, rng: random.Random, other: bytes) -> bytes:
    try:
        message = _METHODS[method].FromString(body)
    except (DecodeError, KeyError):
        return mutate.octets(body, rng, other)
    if method in ("Decode", "DecodeBatch"):
        some = [message.blob] if method == "Decode" else list(message.blobs)
        some = [blobs.mutated(blob, rng, other) for blob in some] + some[: rng.randrange(2)]
        made = pb.DecodeRequest(blob=some[0]) if method == "Decode" else pb.DecodeBatchRequest(blobs=some)
        return made.SerializeToString()
    records = [message.record] if method == "Encode" else list(getattr(message, "records", []))
    if not records:
        return mutate.octets(body, rng, other)
    record = rng.choice(records)
    match rng.randrange(6):
        case 0:
            record.payload.text = mutate.octets(record.payload.text, rng, other)
        case 1:
            text = _latin(record.payload.json or b'{"a": 1}')
            record.payload.json = _changed_json(text, rng, _latin(other)).encode("latin-1")
        case 2:
            array = record.payload.array
            array.dtype = rng.choice(("float16", "float32", "bfloat16", "int8", "bool", "x", ""))
            array.shape[:] = [abs(mutate.number(rng)) % (1 << 64) for _ in range(rng.choice((0, 1, 2, 40)))]
            array.data = rng.randbytes(rng.choice((0, 1, 8, 64)))
            array.tensor = rng.random() < 0.3
        case 3:
            record.fidelity = rng.choice((0, 1, 2, 3, -1))
            record.key = rng.choice(("", "k", "\U0001f600", "x" * 1000))
        case 4:
            message.options.effort = rng.choice((0, 1, 2, 3, 4, -1))
            message.options.latency_budget_ms = rng.choice((0, -1, 1e308, float("inf"), float("nan"), 5))
        case _:
            record.payload.binary = rng.randbytes(rng.choice((0, 1, 100, 5000)))
    return bytes(message.SerializeToString())


def written(request: Input) -> bytes:
    """As it stands in the corpus."""
    return json.dumps(request).encode() + b"\n"


def read(content: bytes) -> Input:
    found: Input = json.loads(content)
    return found
