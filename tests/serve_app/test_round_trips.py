"""Every kind of payload through the running service and back, as JSON and as octets, alone and in batches."""

import base64
import io

import numpy as np
import pytest
import synthetic
from octets import frame_items, split_items

from nbmf import Codec, inspect, json_text
from nbmf.payload import to_canonical
from nbmf.wire import from_wire, to_wire

INTEGER = 10**5000 + 7
VALUES = {
    "text": "Remember the milk.",
    "empty text": "",
    "text of all planes": "Zürich 東京 \U0001f95b \x00 \u2028",
    "lone surrogates": "a\ud800b\udfff",
    "long text": " ".join(map(str, range(30_000))),
    "messages": [{"role": "user", "content": "hi"}, {"role": "tool", "content": None, "calls": [{"id": 1.0}]}],
    "null": None,
    "true": True,
    "big integer": INTEGER,
    "negative": -(2**64),
    "floats": [0.1, -0.0, 1e300, 5e-324, 1.0, 1],
    "not finite": [float("inf"), float("-inf"), float("nan")],
    "key order": {"b": 1, "a": {"z": [], "y": {}}},
    "surrogates in JSON": {"k\ud800": ["\udc00", "ü"]},
    "a thousand levels": synthetic.nested(1000),
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "float16": np.array([1.5, -0.0, np.nan, np.inf], "<f2"),
    "float32": np.linspace(-1, 1, 96, dtype="<f4").reshape(8, 12),
    "float64": np.arange(30, dtype="<f8").reshape(2, 3, 5) / 7,
    "no floats": np.zeros((0, 3), "<f4"),
    "integers": np.arange(-3, 3, dtype="<i2"),
    "big-endian": np.arange(6, dtype=">u8").reshape(2, 3),
    "no dimensions": np.array(True),
    "numbers as written": json_text.loads('{"a":[1.50,1E5,-0],"far":1e400,"digits":0.1234567890123456789012345}'),
}
SYNTHETIC = synthetic.records(12, seed=50)
parametrized = pytest.mark.parametrize("payload", VALUES.values(), ids=VALUES.keys())


def _label(payload):
    return to_canonical(payload)[0].label


def _payload(fields):
    """The payload in a decoded record's fields."""
    fields = dict(fields)
    kind = fields.pop("kind")
    payload = from_wire(fields)
    assert _label(payload) == kind
    return payload


def _equal(a, b):
    return to_canonical(a) == to_canonical(b)


@parametrized
def test_json(service, version, payload):
    status, encoded = service.json("/v1/encode", to_wire(payload))
    assert status == 200
    blob = base64.b64decode(encoded.pop("blob"))
    info = inspect(blob)
    expected = {name: getattr(info, name) for name in ("kind", "coder", "codec", "blob_bytes")}
    expected["payload_bytes"] = len(to_canonical(payload)[1])
    assert encoded == expected
    assert info.kind == _label(payload)
    assert _equal(version.codec.decode(blob), payload)
    status, decoded = service.json("/v1/decode", {"blob": base64.b64encode(blob).decode()})
    assert status == 200
    assert _equal(_payload(decoded), payload)


def test_a_batch_of_json(service):
    payloads = [*VALUES.values(), *SYNTHETIC]
    status, encoded = service.json("/v1/encode", {"records": [to_wire(p) for p in payloads]})
    assert status == 200
    assert [r["kind"] for r in encoded["results"]] == [_label(p) for p in payloads]
    status, decoded = service.json("/v1/decode", {"blobs": [r["blob"] for r in encoded["results"]]})
    assert status == 200
    found = [_payload(r) for r in decoded["results"]]
    assert [_equal(f, p) for f, p in zip(found, payloads, strict=True)] == [True] * len(payloads)


@pytest.mark.parametrize("where", [("encode", "records"), ("decode", "blobs")])
def test_an_empty_batch(service, where):
    path, name = where
    assert service.json(f"/v1/{path}", {name: []}) == (200, {"results": []})
    answer = service.octets(f"/v1/{path}", b"", batch=True)
    assert (answer.status_code, answer.content) == (200, b"")


def test_records_that_resemble_the_training_data_use_the_version(service, version):
    _, encoded = service.json("/v1/encode", {"records": [to_wire(p) for p in SYNTHETIC]})
    assert {r["codec"] for r in encoded["results"]} == {version.id[:4]}
    assert sum(r["payload_bytes"] for r in encoded["results"]) > 3 * sum(r["blob_bytes"] for r in encoded["results"])


def test_fidelity(service):
    status, encoded = service.json("/v1/encode", {"payload": {"a": 1.25}, "fidelity": "lossless"})
    assert status == 200
    _, decoded = service.json("/v1/decode", {"blob": encoded["blob"]})
    assert decoded == {"kind": "json", "payload": {"a": 1.25}}


def _octet_body(payload):
    """(body, value of `kind`) that encode a payload from octets."""
    if type(payload) is bytes:
        return payload, "bytes"
    if type(payload) is str:
        return payload.encode(), "text"
    return json_text.dumps(payload).encode("utf-8", "backslashreplace"), "json"


def _from_octets(kind, content):
    if kind == "array":
        return np.load(io.BytesIO(content))
    if kind == "bytes":
        return content
    text = content.decode("utf-8", "surrogatepass")
    return text if kind == "text" else json_text.loads(text)


AS_OCTETS = {
    name: payload
    for name, payload in VALUES.items()
    if not isinstance(payload, np.ndarray) and name != "lone surrogates"
}


@pytest.mark.parametrize("payload", AS_OCTETS.values(), ids=AS_OCTETS.keys())
def test_octets(service, payload):
    body, kind = _octet_body(payload)
    encoded = service.octets("/v1/encode", body, kind=kind)
    assert (encoded.status_code, encoded.headers["content-type"]) == (200, "application/octet-stream")
    info = inspect(encoded.content)
    assert (encoded.headers["x-nbmf-kind"], encoded.headers["x-nbmf-coder"]) == (info.kind, info.coder)
    assert info.kind == _label(payload)
    decoded = service.octets("/v1/decode", encoded.content)
    assert decoded.status_code == 200
    assert decoded.headers["x-nbmf-kind"] == info.kind
    assert _equal(_from_octets(info.kind, decoded.content), payload)


@parametrized
def test_blobs_of_a_local_codec_are_decoded_to_octets(service, version, payload):
    decoded = service.octets("/v1/decode", version.codec.encode(payload))
    assert decoded.status_code == 200
    assert _equal(_from_octets(_label(payload), decoded.content), payload)
    expected = {
        "text": "text/plain; charset=utf-8",
        "json": "application/json",
        "messages": "application/json",
        "bytes": "application/octet-stream",
        "array": "application/x-npy",
    }
    assert decoded.headers["content-type"] == expected[_label(payload)]


def test_octets_are_bytes_unless_said(service):
    encoded = service.octets("/v1/encode", b'{"a": 1}')
    assert encoded.headers["x-nbmf-kind"] == "bytes"
    assert service.octets("/v1/decode", encoded.content).content == b'{"a": 1}'


def test_a_batch_of_octets(service, version):
    payloads = list(VALUES.values())
    blobs = [version.codec.encode(p) for p in payloads]
    answer = service.octets("/v1/decode", frame_items(blobs), batch=True)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    found = split_items(answer.content)
    assert [(status, kind) for status, kind, _ in found] == [(0, _label(p)) for p in payloads]
    for (_, kind, content), payload in zip(found, payloads, strict=True):
        assert _equal(_from_octets(kind, content), payload)


@pytest.mark.parametrize("kind", ["bytes", "text", "json"])
def test_encoding_a_batch_of_octets(service, version, kind):
    payloads = [p for p in AS_OCTETS.values() if _octet_body(p)[1] == kind]
    answer = service.octets("/v1/encode", frame_items([_octet_body(p)[0] for p in payloads]), kind=kind, batch="true")
    assert answer.status_code == 200
    found = split_items(answer.content)
    assert [(status, label) for status, label, _ in found] == [(0, _label(p)) for p in payloads]
    assert [_equal(version.codec.decode(blob), p) for (_, _, blob), p in zip(found, payloads, strict=True)] == [
        True
    ] * len(payloads)


def test_blobs_without_a_version_are_decoded(service):
    blob = base64.b64encode(Codec().encode({"a": [1, 2, 3]})).decode()
    assert service.json("/v1/decode", {"blob": blob}) == (200, {"kind": "json", "payload": {"a": [1, 2, 3]}})
