"""The zlib stub as the version that a service begins with, and a rollout that takes its place."""

import asyncio
import base64
import json
import math
import random
import time
from types import SimpleNamespace

import httpx
import pytest
import synthetic
from dictionary_versions import publish
from in_process import Context, make_ingress, make_replicas
from octets import OCTETS, frame_items, split_items

from cluster.errors import VersionNotFound
from cluster.registry import Registry
from nbmf import compat, inspect, stub
from nbmf.client import Client
from nbmf.effort import EffortSetting
from nbmf.payload import to_canonical
from nbmf.router import Router, Routing
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.observe.measurements import Measurements
from serve_app.reading.items import ToEncode
from serve_app.rollout.split import Keyed, Route
from serve_app.rollout.state import RolloutError
from serve_app.rollout.store import RolloutStore
from serve_app.rollout.traffic import Traffic
from serve_app.rollout_policy import RolloutPolicy

RECORD = {"role": "user", "content": "ü words", "n": [1.5, None]}
THEIRS = stub.encode(RECORD, "lossless")
POLICY = RolloutPolicy(
    dwell_s=0, min_samples=20, steps_percent=(10, 50, 100), shadow_sample_percent=100, verify_sample_percent=100,
    warm_up_calls=0,
    max_p95_of_stable=1000,
)  # fmt: skip


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path / "of_stub")
    registry.assign("stable", "stub")
    return registry


@pytest.fixture
def service(in_process, registry):
    """Of a registry whose stable version is the stub."""
    encoder, decoder = make_replicas(registry.location, "stub")
    ingress = make_ingress(registry.location, "stub", encoder.encode, decoder.decode)
    yield type(in_process())(ingress)
    ingress._reader.close()
    decoder._versions.isolated.close()


def test_the_registry_has_it(registry):
    assert registry.resolve() == registry.resolve("stable") == registry.resolve("stub") == "stub"
    assert json.loads(registry.load().encode(RECORD)) == THEIRS
    with pytest.raises(VersionNotFound):
        registry.assign("candidate", "stub")
    with pytest.raises(RolloutError, match="stub is not a version"):
        RolloutStore(registry).start("stub", POLICY, 0)


def test_its_dicts_are_the_answers(service):
    answer = service("POST", "/v1/encode", json={"payload": RECORD})
    assert answer.status_code == 200, answer.text
    told = {"kind": "json", "coder": "stub", "codec": None, "dict_blob": "stub"}
    sizes = {
        "payload_bytes": len(to_canonical(RECORD)[1]),
        "blob_bytes": len(json.dumps(THEIRS, separators=(",", ":"))),
    }
    assert answer.json() == {"blob": THEIRS, **told, **sizes}
    back = service("POST", "/v1/decode", json={"blob": answer.json()["blob"]})
    assert back.json() == {"kind": "json", "dict_blob": "stub", "payload": RECORD}

    batch = service("POST", "/v1/encode", json={"records": [{"payload": RECORD}, {"bytes_base64": "AAE="}]}).json()
    assert batch["results"][0]["blob"] == THEIRS
    assert inspect(base64.b64decode(batch["results"][1]["blob"])).kind == "bytes"
    assert "dict_blob" not in batch["results"][1]


def test_over_octets_and_grpc(service):
    text = json.dumps(RECORD).encode()
    answer = service("POST", "/v1/encode?kind=json", content=text, headers=OCTETS)
    assert answer.json() == THEIRS
    assert [answer.headers[f"X-Nbmf-{name}"] for name in ("Kind", "Coder", "Dict-Blob")] == ["json", "stub", "stub"]
    assert service("POST", "/v1/decode", content=answer.content, headers=OCTETS).json() == RECORD
    batch = service("POST", "/v1/encode?kind=json&batch=true", content=frame_items([text, b"1"]), headers=OCTETS)
    assert [(status, kind) for status, kind, _ in split_items(batch.content)] == [(0, "json"), (0, "json")]
    request = pb.EncodeRequest(record=pb.Record(payload=pb.Payload(json=text)))
    encoded = asyncio.run(service.ingress.Encode(request, Context([])))
    assert (json.loads(encoded.blob), encoded.kind, encoded.coder) == (THEIRS, "json", "stub")
    assert not encoded.HasField("codec")


def test_versions_show_it(service, registry):
    (row,) = service("GET", "/v1/versions").json()["versions"]
    assert (row["id"], row["channels"], row["share_percent"]) == ("stub", ["stable"], 100.0)
    registry.assign("stable", publish(registry, "first", seed=1))
    rows = service("GET", "/v1/versions").json()["versions"]
    assert [(row["id"] == "stub", row["channels"]) for row in rows] == [(True, []), (False, ["stable"])]
    answer = asyncio.run(service.ingress.Versions(pb.VersionsRequest(), Context([])))
    assert answer.versions[0].id == "stub"


def test_clients_and_routers_go_on(service, tmp_path):
    def respond(request):
        answer = service("POST", request.url.path, params=request.url.params, content=request.content)
        return httpx.Response(answer.status_code, content=answer.content)

    with Client("http://127.0.0.1", transport=httpx.MockTransport(respond)) as client:
        blob = client.encode(RECORD)
        assert json.loads(blob) == THEIRS
        assert client.decode(blob) == RECORD
        assert client.decode_batch(client.encode_batch([RECORD, "text"])) == [RECORD, "text"]
        router = Router(tmp_path / "store", routing=Routing("read_through"), client=client)
        router.write("k", "note", RECORD)
        assert router.read("k", "note") == RECORD
        assert (router.counts["written_stub"], router.counts["verified"]) == (1, 1)
        assert "failures" not in router.counts


def test_a_candidate_takes_its_place_step_by_step(registry, monkeypatch):
    """Staged, 10, 50, 100 %, stable: judged by the dicts and blobs that both make of the same records."""
    monkeypatch.setattr("nbmf.engine._engine", None)
    candidate = publish(registry, "first", seed=7)
    registry.assign("stable", "stub")
    monkeypatch.setattr("serve_app.rollout.store.tried", lambda *_: None)
    store = RolloutStore(registry)
    rollout = store.start(candidate, POLICY, 0)
    assert rollout.stable == "stub"
    replicas = {version: make_replicas(registry.location, version) for version in ("stub", candidate)}
    encoders = SimpleNamespace(of=lambda v: SimpleNamespace(encode=SimpleNamespace(remote=replicas[v][0].encode)))
    decoder = SimpleNamespace(decode=SimpleNamespace(remote=replicas["stub"][1].decode))
    values = synthetic.records(60, seed=3)
    records = [ToEncode(int(kind), data, "lossless") for kind, data in map(to_canonical, values)]
    items = [Keyed(record, b"key %d" % n) for n, record in enumerate(records)]

    async def serve(now):
        traffic = Traffic(registry.location, "stub", encoders, decoder)
        traffic._route = Route("stub", now)
        coded = await traffic.encode(items, EffortSetting("auto", math.inf), time.time() + 60)
        blobs = [one.blob for one in coded]
        await asyncio.gather(*traffic._copies)
        return blobs, traffic._measured.get((now.id, now.round), Measurements())

    monkeypatch.setattr(random, "random", lambda: 0.0)
    seen, by_nbmf = [], set()
    for at in range(1, 9):
        if not rollout.is_active:
            break
        blobs, measured = asyncio.run(serve(rollout))
        ours = {n for n, blob in enumerate(blobs) if compat.of_json(blob) is None}
        assert by_nbmf <= ours
        by_nbmf = ours
        seen.append((rollout.state, rollout.percent, len(ours) / len(items)))
        for value, blob in zip(values, blobs, strict=True):
            held = compat.of_json(blob)
            assert (registry.load(candidate).decode(blob) if held is None else compat.decode(held)) == value
        rollout = store.judge("me", at, 10, {(rollout.id, rollout.round): measured}, ready=True)
    assert (rollout.state, registry.channels().stable) == ("stable", candidate), rollout.reason
    assert list(dict.fromkeys((state, percent) for state, percent, _ in seen)) == [
        ("staged", 0), ("canary", 10), ("canary", 50), ("canary", 100),
    ]  # fmt: skip
    assert (seen[0][2], seen[-1][2]) == (0, 1)
    for _, one in replicas.values():
        one._versions.isolated.close()


def test_a_rollback_leaves_the_stub(registry, monkeypatch):
    candidate = publish(registry, "first", seed=7)
    registry.assign("stable", "stub")
    monkeypatch.setattr("serve_app.rollout.store.tried", lambda *_: None)
    store = RolloutStore(registry)
    store.start(candidate, POLICY, 0)
    store.roll_back(1, "by hand")
    assert registry.resolve() == "stub"
