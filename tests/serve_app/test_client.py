"""The clients against the running service, and, for its errors, against the service in this process."""

import asyncio
import threading
import time
from types import SimpleNamespace

import httpx
import keys
import numpy as np
import pytest
import synthetic
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import payloads as any_payload
from payloads import same

from nbmf import Codec, json_text
from nbmf.client import (
    AsyncClient,
    BadRequest,
    Client,
    DeadlineExceeded,
    Forbidden,
    LocalClient,
    RequestTooLarge,
    RetryPolicy,
    ServiceFault,
    Unauthorized,
    Unavailable,
)
from nbmf.errors import ChecksumMismatch, NotABlob, PayloadTooLarge, UnknownCodec, UnsupportedPayload
from nbmf.payload import to_canonical
from nbmf.vectors.changed import Coded
from serve_app.work.results import Failure

PAYLOADS = [
    "Remember the milk.",
    "",
    "\x00 Zürich \U0001f95b",
    "lone \ud800, joined \ud83d\ude00",
    [{"role": "user", "content": "hi"}, {"role": "tool", "content": None, "calls": [{"id": 1.0}]}],
    None,
    10**5000 + 7,
    [0.1, -0.0, 5e-324, 1.0, 1, float("inf"), float("nan")],
    {"b": 1, "a": {"k\ud800": ["\ud83d\ude00"]}},
    {"payload": 1, "error": {"code": "x", "message": "y"}},
    synthetic.nested(1000),
    b"",
    bytes(range(256)),
    "bytes",
    np.array([1.5, -0.0, np.nan, np.inf], "<f2"),
    np.arange(30, dtype="<f8").reshape(2, 3, 5).transpose() / 7,
    np.zeros((0, 3), "<f4"),
    np.array([[1, -2]], ">i4"),
    torch.linspace(-1, 1, 7).to(torch.bfloat16),
    json_text.loads('{"a":[1.50,1E5,-0],"far":1e400,"digits":0.1234567890123456789012345}'),
    *synthetic.records(60, seed=70),
]


def canonical(payloads):
    return [to_canonical(payload) for payload in payloads]


@pytest.fixture(scope="module")
def client(service):
    with Client(service.url) as client:
        yield client


def test_there_and_back(client, version):
    for number, payload in enumerate(PAYLOADS[:30]):
        blob = client.encode(payload, key=f"record/{number}")
        assert to_canonical(version.codec.decode(blob)) == to_canonical(payload)
        assert to_canonical(client.decode(blob)) == to_canonical(payload)


def test_batches_are_cut_to_the_services_limits(client, service):
    """To records, which the service says with 413, and to bytes, which the client is told."""
    assert len(PAYLOADS) > service.config.max_batch_records
    blobs = client.encode_batch(PAYLOADS, keys=[f"k{n}" for n in range(len(PAYLOADS))])
    assert canonical(client.decode_batch(blobs)) == canonical(PAYLOADS)
    large = [bytes([n]) * 400_000 for n in range(5)]
    with Client(service.url, max_batch_bytes=900_000) as other:
        assert other.decode_batch(other.encode_batch(large)) == large
    assert client.decode_batch(client.encode_batch(large)) == large


@settings(max_examples=30)
@given(st.lists(any_payload, min_size=1, max_size=20))
def test_any_payloads(client, payloads):
    decoded = client.decode_batch(client.encode_batch(payloads))
    assert all(map(same, decoded, payloads))
    assert same(client.decode(client.encode(payloads[0])), payloads[0])


def test_async(service):
    async def main():
        async with AsyncClient(service.url) as client:
            blobs = await asyncio.gather(*(client.encode(payload) for payload in PAYLOADS))
            together = await client.encode_batch(PAYLOADS)
            decoded = await client.decode_batch(blobs)
            health = await client.health()
            return blobs, together, decoded, health

    blobs, together, decoded, health = asyncio.run(main())
    assert blobs == together
    assert canonical(decoded) == canonical(PAYLOADS)
    assert health.ok


def test_a_local_client_gives_the_same(client, version):
    local = LocalClient(version.codec)
    assert local.encode_batch(PAYLOADS) == client.encode_batch(PAYLOADS)


def test_effort_and_budget(client, service, version):
    record = PAYLOADS[-1]
    assert client.encode(record, effort="fast") == version.codec.encode(record, effort="fast")
    assert client.encode(record, latency_budget_ms=0.001) == version.codec.encode(record, latency_budget_ms=0.001)
    assert client.decode(client.encode(record, effort="max")) == record


def test_versions_and_health(client, version):
    assert [(v.id, v.channels, v.problem) for v in client.versions()] == [(version.id, ("stable",), None)]
    assert client.health().ok


def test_errors_of_records(client, service):
    blob = Codec().encode("x" * 100)
    damaged = blob[:-1] + bytes([blob[-1] ^ 1])
    with pytest.raises(NotABlob) as caught:
        client.decode(b"hello")
    assert len(caught.value.request_id) == 32
    with pytest.raises(ChecksumMismatch):
        client.decode(damaged)
    with pytest.raises(UnsupportedPayload) as caught:
        client.encode({"a": [0, (1, 2)]})
    assert caught.value.path == "$.a[1]"
    with pytest.raises(PayloadTooLarge):
        client.encode("x" * 600_000)
    with pytest.raises(RequestTooLarge):
        client.encode("x" * 1_100_000)
    results = client.decode_batch([blob, damaged, b"", blob])
    assert [results[0], results[3]] == ["x" * 100] * 2
    assert type(results[1]) is ChecksumMismatch
    assert results[1].request_id
    results = client.encode_batch(["a", "x" * 600_000, {1}, "x" * 1_100_000, "b"])
    assert [type(r) for r in results] == [bytes, PayloadTooLarge, UnsupportedPayload, RequestTooLarge, bytes]


def test_a_blob_of_a_version_that_is_not_there(client, service, version):
    blob = bytearray(version.codec.encode(PAYLOADS[-1]))
    at = blob.index(version.codec.reference)
    blob[at : at + 2] = bytes(byte ^ 0x5A for byte in version.codec.reference)
    with pytest.raises(UnknownCodec) as caught:
        client.decode(bytes(blob))
    assert caught.value.reference == blob[at : at + 2].hex()
    assert len(caught.value.searched) >= 2


def test_a_connection_that_the_service_closed(client, service):
    """Idle ones are closed after a while; here the client's own end is cut."""
    client.encode("a")
    for connection in client._http._transport._pool.connections:
        connection._connection._network_stream._sock.shutdown(2)
    assert client.decode(client.encode("b")) == "b"


def test_many_threads(client):
    results = {}

    def work(number):
        payloads = synthetic.records(10, seed=number)
        results[number] = canonical(client.decode(client.encode(p)) for p in payloads) == canonical(payloads)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(8), True)


# --- the service in this process ----------------------------------------------------------------------------------


def ask(served, method, *args, retries=0, api_key=None, timeout_s=30, **options):
    """One call to a service in this process."""
    transport = httpx.ASGITransport(served.ingress.__serve_build_asgi_app__())

    async def main():
        policy = RetryPolicy(max_retries=retries, first_pause_s=0)
        async with AsyncClient(
            "http://127.0.0.1", api_key=api_key, timeout_s=timeout_s, retries=policy, transport=transport
        ) as client:
            return await getattr(client, method)(*args, **options)

    return asyncio.run(main())


def test_api_keys(in_process):
    served = in_process(api_keys=[keys.entry("writer", "k1", "encode")])
    blob = ask(served, "encode", "x", api_key="k1")
    for key in (None, "k2"):
        with pytest.raises(Unauthorized) as caught:
            ask(served, "encode_batch", ["x"], api_key=key)
        assert caught.value.status == 401
    with pytest.raises(Forbidden):
        ask(served, "decode", blob, api_key="k1")


def test_a_version_that_does_not_know_the_client(in_process, monkeypatch):
    from nbmf import protocol
    from nbmf.client import calls

    monkeypatch.setattr(calls, "protocol", SimpleNamespace(**vars(protocol) | {"ENCODE": "/v2/encode"}))
    with pytest.raises(BadRequest) as caught:
        ask(in_process(), "encode", "x")
    assert (caught.value.status, caught.value.code) == (404, "not_found")


def test_a_replica_that_is_down_for_a_while(in_process):
    from ray.serve.exceptions import DeploymentUnavailableError

    calls = []

    async def encode(records, *_):
        calls.append(records)
        if len(calls) < 3:
            raise DeploymentUnavailableError("nbmf")
        return [Coded(Codec().encode(record.canonical.decode())) for record in records]

    served = in_process(encode=encode)
    # Retry-After is 1 s there.
    assert Codec().decode(ask(served, "encode", "x", retries=2)) == "x"
    calls.clear()
    with pytest.raises(Unavailable) as caught:
        ask(served, "encode", "x", retries=1)
    assert caught.value.status == 503
    assert len(calls) == 2


def test_faults(in_process):
    async def encode(records, *_):
        raise RuntimeError("broken")

    served = in_process(encode=encode)
    with pytest.raises(ServiceFault, match="a fault of the server: RuntimeError"):
        ask(served, "encode", "x")


def test_the_deadline_goes_to_the_service(in_process):
    seen = []

    async def encode(records, effort, deadline):
        seen.append(deadline - time.time())
        return Failure("deadline_exceeded", "too late")

    with pytest.raises(DeadlineExceeded, match="too late") as caught:
        ask(in_process(encode=encode, request_timeout_s=20), "encode", "x", timeout_s=9)
    assert caught.value.status == 504
    assert 0 < seen[0] <= 9
