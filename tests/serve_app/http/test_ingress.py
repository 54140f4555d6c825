"""What the ingress does with requests of odd forms, in this process."""

import base64
import json
import sys

import pytest
from octets import OCTETS, frame_items, split_items


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
def test_no_body_is_sent_elsewhere(in_process, path):
    """Behind a proxy that ends TLS the redirect would be to plain HTTP."""
    answer = in_process()("POST", path + "/", content=b"{}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize("coding", ["gzip", "br, gzip", "x"])
def test_a_compressed_body_is_not_taken_for_a_record(in_process, path, coding):
    answer = in_process()("POST", path, content=b"\x1f\x8b", headers={**OCTETS, "Content-Encoding": coding})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["error"]["message"]


def test_a_body_that_says_it_is_not_compressed(in_process):
    answer = in_process()("POST", "/v1/encode", content=b"x", headers={**OCTETS, "Content-Encoding": "Identity"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fields", "library"),
    [
        ({"dtype": "float32", "shape": [2], "data_base64": "AACAPwAAAEA=", "library": "torch"}, "torch"),
        ({"dtype": "bfloat16", "shape": [2], "data_base64": "gD8AQA=="}, "ml_dtypes"),
    ],
)
def test_arrays_of_a_library_that_the_service_has_not(in_process, monkeypatch, fields, library):
    """It passes numbers on, and makes no array of them."""
    monkeypatch.setitem(sys.modules, library, None)
    ask = in_process()
    encoded = ask("POST", "/v1/encode", json={"array": fields}).json()
    assert ask("POST", "/v1/decode", json={"blob": encoded["blob"]}).json() == {"kind": "array", "array": fields}


def test_an_array_of_a_shape_that_numpy_has_not(in_process):
    fields = {"dtype": "float64", "shape": [0, 2**33, 2**33], "data_base64": ""}
    ask = in_process()
    blob = ask("POST", "/v1/encode", json={"array": fields}).json()["blob"]
    assert ask("POST", "/v1/decode", json={"blob": blob}).json()["array"] == fields
    octets = ask("POST", "/v1/decode", content=base64.b64decode(blob), headers=OCTETS)
    assert (octets.status_code, octets.json()["error"]["code"]) == (422, "unsupported_payload")
    batch = ask("POST", "/v1/decode?batch=true", content=frame_items([base64.b64decode(blob)]), headers=OCTETS)
    ((status, _, problem),) = split_items(batch.content)
    assert (status, json.loads(problem)["code"]) == (1, "unsupported_payload")
