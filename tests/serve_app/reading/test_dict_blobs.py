"""Dict blobs, the stub's and ours, are decoded wherever a blob is; answers say which they were."""

import asyncio
import base64
import json
import zlib

import httpx
import pytest
from in_process import Context
from octets import OCTETS, frame_items, split_items
from old_stores import dict_blob_1

from nbmf import Codec, compat, errors, stub
from nbmf.client import Client, LocalClient
from serve_app.grpc import nbmf_pb2 as pb

RECORD = {"role": "user", "content": "ü words", "n": [1.5, -0.0, None, 10**30]}
BLOB = Codec().encode(RECORD)
HELD = {
    "stub": (stub.encode(RECORD, "lossless"), RECORD),
    "stub_preview": (stub.encode("a   preview \n of it"), "a preview of it"),
    "nbmf-1": (dict_blob_1(BLOB, RECORD), RECORD),
    "nbmf-2": (compat.wrap(BLOB), RECORD),
}
each = pytest.mark.parametrize(("form", "held", "payload"), [(form, *of) for form, of in HELD.items()], ids=HELD)


@each
def test_alone(in_process, form, held, payload):
    service = in_process()
    answer = service("POST", "/v1/decode", json={"blob": held})
    assert answer.status_code == 200, answer.text
    kind = "text" if form == "stub_preview" else "json"
    assert answer.json() == {"kind": kind, "dict_blob": form, "payload": payload}
    octets = service("POST", "/v1/decode", content=json.dumps(held).encode(), headers=OCTETS)
    assert (octets.status_code, octets.headers["X-Nbmf-Dict-Blob"]) == (200, form)
    assert octets.headers["X-Nbmf-Kind"] == kind
    assert (octets.text if kind == "text" else octets.json()) == payload


@each
def test_over_grpc(in_process, form, held, payload):
    request = pb.DecodeRequest(blob=json.dumps(held).encode())
    answer = asyncio.run(in_process().ingress.Decode(request, Context([])))
    assert answer.dict_blob == form
    text = answer.payload.text if form == "stub_preview" else answer.payload.json
    assert (text.decode() if form == "stub_preview" else json.loads(text)) == payload


def test_in_a_batch_in_order(in_process):
    service, bare = in_process(), base64.b64encode(BLOB).decode()
    damaged = HELD["stub"][0] | {"code": HELD["stub"][0]["code"][:-4]}
    newer = {"meta": {"encoder_version": "nbmf-99"}, "code": ""}
    no_json = HELD["stub"][0] | {"code": zlib.compress(b"[1,").hex()}
    blobs = [bare, *(held for held, _ in HELD.values()), damaged, newer, {"meta": {}}, no_json, "!", bare]
    answer = service("POST", "/v1/decode", json={"blobs": blobs})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    told = [row["error"]["code"] if "error" in row else row.get("dict_blob") for row in results]
    failures = ["damaged_stub_blob", "unsupported_format", "bad_request", "damaged_stub_blob", "bad_request"]
    assert told == [None, *HELD, *failures, None]
    assert [row.get("payload") for row in results[:5]] == [RECORD, *(payload for _, payload in HELD.values())]
    assert "dict blob" in results[7]["error"]["message"]

    items = [BLOB, *(json.dumps(held).encode() for held, _ in HELD.values()), b"{", b'{"a":1}', BLOB]
    octets = service("POST", "/v1/decode?batch=true", content=frame_items(items), headers=OCTETS)
    found = split_items(octets.content)
    assert [status for status, *_ in found] == [0] * 5 + [1, 1, 0]
    assert json.loads(found[5][-1])["code"] == json.loads(found[6][-1])["code"] == "not_a_blob"
    over_grpc = asyncio.run(in_process().ingress.DecodeBatch(pb.DecodeBatchRequest(blobs=items), Context([])))
    which = [one.decoded.dict_blob if one.HasField("decoded") else one.failure.code for one in over_grpc.results]
    assert which == ["", *HELD, "not_a_blob", "not_a_blob", ""]


def test_a_bare_blob_is_answered_as_ever(in_process):
    service = in_process()
    answer = service("POST", "/v1/decode", json={"blob": base64.b64encode(BLOB).decode()})
    assert answer.json() == {"kind": "json", "payload": RECORD}
    assert "X-Nbmf-Dict-Blob" not in service("POST", "/v1/decode", content=BLOB, headers=OCTETS).headers


def test_a_batch_of_the_stubs_alone_needs_no_decoder(in_process):
    async def none(*_, **__):
        raise AssertionError

    held, payload = HELD["stub"]
    answer = in_process(decode=none)("POST", "/v1/decode", json={"blobs": [held] * 3})
    assert [row["payload"] for row in answer.json()["results"]] == [payload] * 3


# --- limits -------------------------------------------------------------------------------------------------------


def of_text(text):
    return {"meta": {"fidelity": "lossless"}, "code": zlib.compress(text, 9).hex(), "sig": ""}


def test_what_inflates_to_more_than_the_server_takes(in_process):
    service = in_process(max_payload_bytes=1000, max_batch_payload_bytes=3000)
    answer = service("POST", "/v1/decode", json={"blobs": [of_text(b" " * 10**7 + b"1"), HELD["stub"][0]]})
    rows = answer.json()["results"]
    assert rows[0]["error"]["code"] == "damaged_stub_blob"
    assert "max_output_bytes" in rows[0]["error"]["message"]
    assert rows[1]["payload"] == RECORD
    too_large = service("POST", "/v1/decode", json={"blob": of_text(json.dumps("x" * 1500).encode())})
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "payload_too_large")
    whole = of_text(json.dumps("x" * 990).encode())
    together = service("POST", "/v1/decode", json={"blobs": [whole] * 7})
    assert (together.status_code, together.json()["error"]["code"]) == (413, "batch_too_large")
    assert service("POST", "/v1/decode", json={"blobs": [whole] * 3}).status_code == 200
    many = service("POST", "/v1/decode", json={"blobs": [HELD["stub"][0]] * 2000})
    assert (many.status_code, many.json()["error"]["code"]) == (413, "batch_too_large")


def test_values_of_a_stubs_blob_are_bounded(in_process):
    answer = in_process(max_payload_bytes=4_000_000, max_body_bytes=8_000_000)(
        "POST", "/v1/decode", json={"blob": of_text(b"[" + b"1," * 1_200_000 + b"1]")}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "damaged_stub_blob")
    assert "values" in answer.json()["error"]["message"]


def test_what_inflates_to_much_is_parsed_in_a_process_of_its_own(in_process):
    """A short body may hold megabytes of JSON, which nothing of the loop is to wait for."""
    service = in_process()
    answer = service("POST", "/v1/decode", json={"blob": of_text(json.dumps(["x" * 9] * 100_000).encode())})
    assert len(answer.json()["payload"]) == 100_000
    assert any(process._child for process in service.ingress._reader._processes)


# --- clients ------------------------------------------------------------------------------------------------------


@each
def test_clients_take_them(in_process, form, held, payload):
    service = in_process()

    def respond(request):
        answer = service("POST", request.url.path, content=request.content, headers=dict(request.headers))
        return httpx.Response(answer.status_code, content=answer.content)

    with Client("http://127.0.0.1", transport=httpx.MockTransport(respond)) as client:
        check_client(client, form, held, payload)
    with LocalClient() as client:
        check_client(client, form, held, payload)


def check_client(client, form, held, payload):
    assert client.decode(held) == payload
    assert client.decode(held, object_hook=lambda fields: sorted(fields)) == (
        payload if form == "stub_preview" else sorted(payload)
    )
    damaged = held | {"code": "no code"}
    found = client.decode_batch([held, BLOB, damaged, held])
    assert found[:2] == [payload, RECORD]
    assert isinstance(found[2], errors.DamagedStubBlob if form.startswith("stub") else errors.CorruptBlob)
    assert found[3] == payload
    with pytest.raises(errors.NbmfError):
        client.decode(damaged)
    with pytest.raises(TypeError):
        client.decode("text")
