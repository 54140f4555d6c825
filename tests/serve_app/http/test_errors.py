"""What a client may do wrong is answered with a 4xx and a reason that a program can read; never with a 5xx."""

import base64
import json
import random
import struct

import httpx
import numpy as np
import pytest
import synthetic
from octets import OCTETS, frame_items, split_items

from nbmf import Codec, frame, json_text
from nbmf.payload import Kind, to_canonical
from nbmf.wire import to_wire

BLOB = Codec().encode({"a": list(range(50))})
GOOD = base64.b64encode(BLOB).decode()


def _base64(blob):
    return base64.b64encode(blob).decode()


# --- bodies -------------------------------------------------------------------------------------------------------


def test_a_key_that_is_there_twice(service):
    body = b'{"payload":{"a":[{"note":"first","note":"second"}]}}'
    answer = service.client.post("/v1/encode", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "bad_request")
    assert "the object at $.payload.a[0] has the key 'note' more than once" in error["message"]


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("size_bytes", [1_000_001, 12_000_000])
@pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream"])
def test_a_body_that_says_it_is_too_large(service, path, size_bytes, media_type):
    answer = service.client.post(path, content=b" " * size_bytes, headers={"Content-Type": media_type})
    message = service.error(answer, 413, "body_too_large")
    assert "1000000" in message


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("size_bytes", [1_000_001, 12_000_000])
def test_a_streamed_body_that_is_too_large(service, path, size_bytes):
    def pieces():
        for at in range(0, size_bytes, 65_536):
            yield b" " * min(65_536, size_bytes - at)

    request = service.client.build_request("POST", path, content=pieces(), headers=OCTETS)
    assert "content-length" not in request.headers
    service.error(service.client.send(request), 413, "body_too_large")


def test_a_streamed_body_within_the_limit(service):
    answer = service.client.post("/v1/encode", content=(b"x" * 1000 for _ in range(200)), headers=OCTETS)
    assert answer.status_code == 200
    assert Codec().decode(answer.content) == b"x" * 200_000


def test_a_body_of_the_largest_size(service):
    body = b'{"payload": "x"}'.ljust(service.config.max_body_bytes)
    assert service.json("/v1/encode", body)[0] == 200


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "json", "*/*"])
def test_other_media_types(service, path, media_type):
    answer = service.client.post(path, content=b"{}", headers={"Content-Type": media_type})
    service.error(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_spellings_of_json(service, media_type):
    headers = {"Content-Type": media_type} if media_type else {}
    answer = service.client.post("/v1/encode", content=b'{"payload": 1}', headers=headers)
    assert answer.status_code == 200


NOT_AN_OBJECT = [b"", b"{", b"nothing", b"[1]", b'"x"', b"null", b"3", b"\xff\xfe{}", b"\x00", b"[" * 30_000]


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("body", NOT_AN_OBJECT, ids=lambda b: repr(b[:8]))
def test_bodies_that_are_no_json_object(service, path, body):
    answer = service.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert "the body is" in service.error(answer, 400, "bad_request")


ARRAY = to_wire(np.zeros(3, "<f4"))["array"]
BAD_RECORDS = {
    "nothing": {},
    "two": {"payload": 1, "bytes_base64": ""},
    "unknown field": {"payload": 1, "codec": "x"},
    "unknown surrogate": {"payload": 1, "\ud800": "x"},
    "fidelity": {"payload": 1, "fidelity": "lossy"},
    "fidelity type": {"payload": 1, "fidelity": ["lossless"]},
    "base64": {"bytes_base64": "!!"},
    "base64 surrogate": {"bytes_base64": "\ud800"},
    "base64 type": {"bytes_base64": 5},
    "array shape": {"array": {**ARRAY, "shape": [4]}},
    "array sizes": {"array": {**ARRAY, "shape": [2**70]}},
    "array dtype": {"array": {**ARRAY, "dtype": "complex64"}},
    "array type": {"array": [1.0]},
}


@pytest.mark.parametrize("fields", BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_records_that_say_nothing_clear(service, fields):
    status, answer = service.json("/v1/encode", fields)
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    status, answer = service.json("/v1/encode", {"records": [{"payload": "fine"}, fields, {"payload": "too"}]})
    assert status == 200
    first, wrong, last = answer["results"]
    assert wrong.keys() == {"error"}
    assert wrong["error"]["code"] == "bad_request"
    assert wrong["error"]["message"]
    assert Codec().decode(base64.b64decode(first["blob"])) == "fine"
    assert Codec().decode(base64.b64decode(last["blob"])) == "too"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"array": {"dtype": "float32", "shape": [1] * 9, "data_base64": "AAAAAA=="}}, 400, "bad_request"),
        ({"array": {"dtype": "float32", "shape": [], "data_base64": "AAAAAA=="}}, 200, None),
        ({"payload": synthetic.nested(9_999)}, 200, None),
        ({"payload": "x" * 500_001}, 413, "payload_too_large"),
        ({"bytes_base64": _base64(bytes(500_001))}, 413, "payload_too_large"),
    ],
    ids=["nine dimensions", "no dimensions", "deepest", "too large", "too many bytes"],
)
def test_records_that_cannot_be_encoded(service, fields, status, code):
    found, answer = service.json("/v1/encode", fields)
    assert (found, answer.get("error", {}).get("code")) == (status, code)


@pytest.mark.parametrize(
    "body", [b'{"payload": ' + b"[" * 10_100 + b"]" * 10_100 + b"}", b'{"payload": ' + b"9" * 200_000 + b"}"]
)
def test_json_beyond_its_bounds(service, body):
    status, answer = service.json("/v1/encode", body)
    assert (status, answer["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/encode", {"records": [], "payload": 1}),
        ("/v1/encode", {"records": {"0": {"payload": 1}}}),
        ("/v1/encode", {"records": None}),
        ("/v1/decode", {"blobs": GOOD}),
        ("/v1/decode", {"blobs": [], "blob": GOOD}),
        ("/v1/decode", {"blob": GOOD, "codec": 1}),
        ("/v1/decode", {}),
        ("/v1/decode", {"records": []}),
        ("/v1/decode", {"blob": None}),
        ("/v1/decode", {"blob": "not base64"}),
    ],
)
def test_batches_and_blobs_that_are_none(service, path, fields):
    status, answer = service.json(path, fields)
    assert (status, answer["error"]["code"]) == (400, "bad_request")


def test_batches_that_are_too_large(service):
    limit = service.config.max_batch_records
    for path, fields in (("/v1/encode", {"records": [{"payload": 1}]}), ("/v1/decode", {"blobs": [GOOD]})):
        (name, (item,)), *_ = fields.items()
        assert service.json(path, {name: [item] * limit})[0] == 200
        status, answer = service.json(path, {name: [item] * (limit + 1)})
        assert (status, answer["error"]["code"]) == (413, "batch_too_large")
        body = frame_items([BLOB] * (limit + 1))
        service.error(service.octets(path, body, batch=True), 413, "batch_too_large")
        assert service.octets(path, frame_items([BLOB] * limit), batch=True).status_code == 200


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize(
    "body", [b"\x01", b"\x05\x00\x00\x00abc", b"\xff\xff\xff\xff", frame_items([BLOB]) + b"\x00\x00"]
)
def test_batches_of_octets_that_are_cut_off(service, path, body):
    service.error(service.octets(path, body, batch=True), 400, "bad_request")


@pytest.mark.parametrize(("kind", "body"), [("text", b"\xff"), ("json", b"{"), ("json", b"\xff"), ("json", b"")])
def test_octets_that_are_not_what_was_said(service, kind, body):
    assert kind in service.error(service.octets("/v1/encode", body, kind=kind), 400, "bad_request")
    answer = service.octets("/v1/encode", frame_items([b'"a"', body]), kind=kind, batch=True)
    (first, _, _), (second, _, detail) = split_items(answer.content)
    assert (answer.status_code, first, second) == (200, 0, 1)
    assert json.loads(detail)["code"] == "bad_request"


@pytest.mark.parametrize(
    ("path", "parameters", "named"),
    [
        ("/v1/encode", {"kind": "xml"}, "kind"),
        ("/v1/encode", {"batch": "perhaps"}, "batch"),
        ("/v1/encode", {"latency_budget_ms": "0"}, "latency_budget_ms"),
        ("/v1/decode", {"batch": ""}, "batch"),
    ],
)
def test_bad_query_parameters(service, path, parameters, named):
    assert f"query.{named}" in service.error(service.octets(path, b"x", **parameters), 400, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/encode", 405, "method_not_allowed"),
        ("PUT", "/v1/decode", 405, "method_not_allowed"),
        ("POST", "/v1/versions", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/", 404, "not_found"),
    ],
)
def test_routes_that_are_not_there(service, method, path, status, code):
    service.error(service.client.request(method, path), status, code)


# --- blobs --------------------------------------------------------------------------------------------------------


def _forged(kind, canonical):
    """A blob whose checksum is true although its bytes are no payload of that kind."""
    return frame.pack_stored(kind, canonical)


def _learned(version):
    return version.codec.encode(synthetic.records(1, seed=88)[0])


CORRUPT = {
    "empty": (b"", "corrupt_blob"),
    "text": (b"hello", "not_a_blob"),
    "cut": (BLOB[:-1], "checksum_mismatch"),
    "cut in its header": (BLOB[:2], "corrupt_blob"),
    "altered": (BLOB[:-1] + bytes([BLOB[-1] ^ 1]), "checksum_mismatch"),
    "only magic": (b"\xb1", "corrupt_blob"),
    "unknown coder": (b"\xb1\x0f" + bytes(20), "unsupported_format"),
    "only the first byte of a compact frame": (b"\x98", "corrupt_blob"),
    "spans in bytes": (b"\x9f" + bytes(20), "unsupported_format"),
    "forged json": (_forged(Kind.JSON, b"{"), "corrupt_blob"),
    "forged json bytes": (_forged(Kind.JSON, b"\xff\xfe"), "corrupt_blob"),
    "forged injection": (_forged(Kind.JSON, b'1},{"kind":"text","payload":"x"'), "corrupt_blob"),
    "forged messages": (_forged(Kind.MESSAGES, b"[" * 20_000), "corrupt_blob"),
    "forged text": (_forged(Kind.TEXT, b"\xff\xfe\xfd"), "corrupt_blob"),
    "forged array": (_forged(Kind.ARRAY, b"\x9f\x00"), "corrupt_blob"),
    "forged array shape": (_forged(Kind.ARRAY, b"\x21\x05\x05\x00"), "corrupt_blob"),
}


@pytest.mark.parametrize(("blob", "code"), CORRUPT.values(), ids=CORRUPT.keys())
def test_corrupt_blobs(service, blob, code):
    status, answer = service.json("/v1/decode", {"blob": _base64(blob)})
    assert (status, answer["error"]["code"]) == (422, code)
    service.error(service.octets("/v1/decode", blob), 422, code)
    status, answer = service.json("/v1/decode", {"blobs": [GOOD, _base64(blob), GOOD]})
    assert status == 200
    assert [r.get("error", {}).get("code") for r in answer["results"]] == [None, code, None]
    assert answer["results"][2] == {"kind": "json", "payload": {"a": list(range(50))}}
    octets = service.octets("/v1/decode", frame_items([BLOB, blob]), batch=True)
    (ok, _, first), (failed, _, second) = split_items(octets.content)
    assert (octets.status_code, ok, failed) == (200, 0, 1)
    assert json.loads(first) == {"a": list(range(50))}
    assert json.loads(second)["code"] == code


def test_every_byte_of_a_learned_blob_counts(service, version):
    blob = _learned(version)
    flipped = [blob[:at] + bytes([blob[at] ^ 4]) + blob[at + 1 :] for at in range(min(len(blob), 50))]
    status, answer = service.json("/v1/decode", {"blobs": [_base64(b) for b in flipped]})
    assert status == 200
    assert all(r.keys() == {"error"} for r in answer["results"])


def test_a_version_that_is_not_registered(service, version):
    blob = bytearray(_learned(version))
    at = blob.index(version.codec.reference)
    blob[at] ^= 0xFF
    status, answer = service.json("/v1/decode", {"blob": _base64(blob)})
    assert (status, answer["error"]["code"]) == (404, "unknown_codec")
    assert blob[at : at + 2].hex() in answer["error"]["message"]
    service.error(service.octets("/v1/decode", bytes(blob)), 404, "unknown_codec")


def test_a_payload_larger_than_the_server_takes(service):
    blob = Codec().encode(" " * 500_001)
    assert len(blob) < 1000
    service.error(service.octets("/v1/decode", blob), 413, "output_too_large")
    assert service.octets("/v1/decode", Codec().encode(" " * 500_000)).content == b" " * 500_000


# --- anything at all ----------------------------------------------------------------------------------------------


def _random_json(rng, depth=0):
    match rng.randrange(9 if depth < 3 else 6):
        case 0:
            return rng.choice([None, True, False])
        case 1:
            return rng.choice([0, -1, 2**70, 10**30, -(10**4400)])
        case 2:
            return rng.choice([0.5, float("nan"), float("inf"), -0.0])
        case 3 | 4:
            return rng.choice(["", "x", "\ud800", "lossless", "float32", GOOD, "AAAA", "\x00", "é" * 40])
        case 5:
            return rng.choice([[], {}])
        case 6:
            return [_random_json(rng, depth + 1) for _ in range(rng.randrange(4))]
        case _:
            names = ["payload", "bytes_base64", "array", "records", "blob", "blobs", "fidelity", "dtype", "shape"]
            names += ["data_base64", "", "\ud800"]
            return {rng.choice(names): _random_json(rng, depth + 1) for _ in range(rng.randrange(4))}


def _random_body(rng):
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(60))
        case 1:
            body = bytearray(BLOB)
            for _ in range(rng.randrange(1, 4)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            return bytes(body[: rng.randrange(len(body) + 1)])
        case 2:
            text = json_text.dumps(_random_json(rng)).encode("utf-8", rng.choice(["backslashreplace", "surrogatepass"]))
            return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.2 else text
        case _:
            kind = rng.choice(list(Kind))
            forged = _forged(
                kind, rng.choice([rng.randbytes(rng.randrange(30)), b"[1", b'{"a":NaN}', b'"\xed\xa0\x80"'])
            )
            return rng.choice([forged, json.dumps({"blob": _base64(forged)}).encode(), frame_items([forged, forged])])


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("seed", range(4))
def test_garbage_is_never_a_server_error(service, path, seed):
    rng = random.Random(f"{path} {seed}")
    statuses = set()
    for _ in range(150):
        body = _random_body(rng)
        media_type = rng.choice(["application/json", "application/json", "application/octet-stream", "text/html"])
        chance = 0.2 if media_type == "application/octet-stream" else 0.02  # elsewhere they are refused
        names = (("kind", "json"), ("kind", "text"), ("batch", "1")) if path == "/v1/encode" else (("batch", "1"),)
        parameters = {name: value for name, value in names if rng.random() < chance}
        answer = service.client.post(path, content=body, headers={"Content-Type": media_type}, params=parameters)
        statuses.add(answer.status_code)
        assert 200 <= answer.status_code < 500, (path, media_type, parameters, body)
        if answer.status_code != 200:
            error = answer.json()["error"]
            assert error.keys() == {"code", "message", "request_id"}
        elif answer.headers["content-type"] == "application/json":
            json_text.loads(answer.content.decode("utf-8", "surrogatepass"))
    assert {200, 400, 415} <= statuses


def test_the_service_is_well_after_all_that(service):
    assert service.client.get("/healthz").json() == {"status": "ok"}


def test_a_client_that_hangs_up(service):
    import socket

    address = (service.config.host, service.config.port)
    for sent in (b"", b"POST /v1/encode HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{", b"\x00\xff\r\n\r\n"):
        with socket.create_connection(address) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert service.json("/v1/encode", {"payload": 1})[0] == 200
    with httpx.Client(base_url=service.url) as client:
        assert client.get("/healthz").status_code == 200


def test_equal_payloads_give_equal_blobs(service):
    bodies = [b'{"payload": [1, 2]}', b' {\n"payload":[1,2] } ']
    assert len({service.json("/v1/encode", body)[1]["blob"] for body in bodies}) == 1
    assert to_canonical([1, 2])[1] == b"[1,2]"
