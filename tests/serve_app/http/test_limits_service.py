"""The packaged limits on a real service: records and batches up to them pass, and what is beyond harms nobody else."""

import base64
import contextlib
import json
import os
import socket

import grpc
import httpx
import pytest
from octets import OCTETS, frame_items, split_items

from nbmf import Codec
from nbmf.client import Client
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.grpc.nbmf_pb2_grpc import CodecStub
from serve_app.reading.reader import OWN_PROCESS_BYTES

NAME = "limits"
SENT_AT_MOST_BYTES = 512 * 1024 * 1024


@pytest.fixture(scope="module")
def config(service):
    small = {"max_replicas": 1, "num_cpus": 0.2}
    sizes = {name: getattr(service.config, name).model_copy(update=small) for name in ("ingress", "encoder", "decoder")}
    limits = {"max_body_bytes": 16 * 2**20, "max_payload_bytes": 8 * 2**20, "max_batch_records": 1024}
    return service.config.model_copy(update=sizes | limits)


@pytest.fixture(scope="module")
def url(service, config, version):
    from serve_app.deploy.deploy import applications, run, undeploy

    run(applications(config, version.registry.location, "none", NAME), route_prefix=f"/{NAME}")
    yield f"{service.url}/{NAME}"
    undeploy(NAME)


@pytest.fixture(scope="module")
def http(url):
    with contextlib.closing(httpx.Client(base_url=url, timeout=120)) as client:
        yield client


@pytest.fixture(scope="module")
def stub(service, url):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(service.grpc_address, options) as channel:
        yield CodecStub(channel)


def largest(config):
    return os.urandom(config.max_payload_bytes)


@pytest.mark.timeout(600)
def test_the_largest_record_over_http(http, config):
    record = largest(config)
    encoded = http.post("/v1/encode", content=record, headers=OCTETS)
    assert encoded.status_code == 200, encoded.text
    assert Codec().decode(encoded.content) == record
    assert http.post("/v1/decode", content=encoded.content, headers=OCTETS).content == record
    small = Codec().encode(b" " * len(record))
    assert http.post("/v1/decode", content=small, headers=OCTETS).content == b" " * len(record)
    answer = http.post("/v1/encode", content=record + b"x", headers=OCTETS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")


@pytest.mark.timeout(600)
def test_the_largest_record_over_grpc(stub, config):
    record = largest(config)
    metadata = [("application", NAME)]
    request = pb.EncodeRequest(record=pb.Record(payload=pb.Payload(binary=record)))
    blob = stub.Encode(request, metadata=metadata, timeout=120).blob
    assert stub.Decode(pb.DecodeRequest(blob=blob), metadata=metadata, timeout=120).payload.binary == record


@pytest.mark.timeout(600)
def test_json_that_is_read_in_a_process_of_its_own(http, stub):
    payload = {"numbers": list(range(100_000)), "text": "ü"}
    body = json.dumps({"payload": payload}).encode()
    assert len(body) > OWN_PROCESS_BYTES
    encoded = http.post("/v1/encode?effort=fast", content=body, headers={"Content-Type": "application/json"})
    assert encoded.status_code == 200, encoded.text
    assert http.post("/v1/decode", json={"blob": encoded.json()["blob"]}).json()["payload"] == payload
    record = pb.Record(payload=pb.Payload(json=json.dumps(payload).encode()))
    request = pb.EncodeRequest(record=record, options=pb.EncodeOptions(effort=pb.EFFORT_FAST))
    blob = stub.Encode(request, metadata=[("application", NAME)], timeout=120).blob
    assert blob == base64.b64decode(encoded.json()["blob"])


@pytest.mark.timeout(600)
def test_the_largest_batches(http, stub, config):
    """Of more than one message between ingress and replicas."""
    half = config.max_body_bytes // 2 - 100
    records = [os.urandom(half), os.urandom(half)]
    encoded = http.post("/v1/encode?batch=true", content=frame_items(records), headers=OCTETS)
    blobs = [blob for _, _, blob in split_items(encoded.content)]
    assert [Codec().decode(blob) for blob in blobs] == records
    together = [Codec().encode(b" " * 2**20 * 8)] * (config.max_batch_payload_bytes // 2**23)
    decoded = http.post("/v1/decode?batch=true", content=frame_items(together), headers=OCTETS)
    assert [len(record) for _, _, record in split_items(decoded.content)] == [2**23] * len(together)
    answers = stub.DecodeBatch(pb.DecodeBatchRequest(blobs=together), metadata=[("application", NAME)], timeout=120)
    assert [len(result.decoded.payload.binary) for result in answers.results] == [2**23] * len(together)
    answer = http.post("/v1/decode?batch=true", content=frame_items([*together, together[0]]), headers=OCTETS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "batch_too_large")


def test_ordinary_batches_of_the_client(url):
    """At its own limits, and what decodes to more than the service takes at a time, which it sends in parts."""
    records = [base64.b64encode(os.urandom(15_000)).decode() for _ in range(300)]
    spaces = [" " * 2**20] * 40
    with Client(url, timeout_s=120) as client:
        assert client.decode_batch(client.encode_batch(records)) == records
        assert client.decode_batch([Codec().encode(text) for text in spaces]) == spaces


def test_header_values_that_are_no_text(http):
    for name in ("X-Request-Id", "X-Session-Id", "X-Request-Timeout-Seconds"):
        answer = http.post("/v1/encode", json={"payload": 1}, headers={name: b"\xe9\xff"})
        assert answer.status_code == 200
        (request_id,) = set(answer.headers.get_list("X-Request-Id"))
        assert request_id.isascii()


def head(service, more):
    path = f"/{NAME}/v1/encode"
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n{more}\r\n".encode()


def address(service):
    host, _, port = service.url.rpartition("/")[2].partition(":")
    return host, int(port)


def sent_until_closed(connection, piece):
    """Bytes, so many at most."""
    for sent in range(0, SENT_AT_MOST_BYTES, len(piece)):
        try:
            connection.sendall(piece)
        except ConnectionError:
            return sent
    return SENT_AT_MOST_BYTES


@pytest.mark.parametrize("chunked", [False, True])
def test_who_sends_too_much_is_cut_off(service, url, chunked):
    """The service read on for as long as the client sent."""
    more = "Transfer-Encoding: chunked\r\n" if chunked else "Content-Length: 99999999999\r\n"
    piece = b"x" * 65_536
    piece = b"10000\r\n" + piece + b"\r\n" if chunked else piece
    with socket.create_connection(address(service), timeout=60) as connection:
        connection.sendall(head(service, more))
        assert sent_until_closed(connection, piece) < SENT_AT_MOST_BYTES


def test_many_at_the_same_moment(service, config):
    """Serve refused what came while so many were not handed on yet, though the service had room for all."""
    request = f"GET /{NAME}/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(socket.create_connection(address(service), timeout=60))
            for _ in range(config.max_queued_requests * 4)
        ]
        for connection in callers:
            connection.sendall(request)
        assert {connection.recv(4000)[:13] for connection in callers} == {b"HTTP/1.1 200 "}


def test_slow_bodies_lock_nobody_out(service, http):
    """With any key, or none. More of them than a replica works at: further ones are refused."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address(service), timeout=60)) for _ in range(120)]
        for connection in slow:
            sent = head(service, "Content-Length: 1000000\r\n") + b"x" * 20_000  # more than HAProxy waits for
            connection.sendall(sent)
        for _ in range(20):
            assert http.get("/healthz").status_code == 200
            assert http.post("/v1/encode", json={"payload": "Remember the milk."}).status_code == 200
        statuses = {connection.recv(4000)[:13] for connection in slow}
    assert statuses - {b"HTTP/1.1 408 "} == {b"HTTP/1.1 429 "}  # 408: one that was waited for, in vain
