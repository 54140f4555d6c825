"""A real service on a registry of its own: a good candidate is promoted by itself, bad ones are taken back."""

import base64
import contextlib
import threading
import time
from pathlib import Path

import httpx
import planted
import pytest
import synthetic
from dictionary_versions import publish
from rollouts import QUICK

from cluster.quarantine import Quarantine
from cluster.registry import Registry
from serve_app.rollout.store import RolloutStore

PATIENCE_S = 120


@pytest.fixture(scope="module")
def registry(ray_session, tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("rollout") / "registry")
    publish(registry, "first", seed=41)
    return registry


@pytest.fixture(scope="module")
def client(service, registry):
    """For an application of its own, beside the one of the other tests."""
    import ray.cloudpickle

    from serve_app.deploy.deploy import applications, run, undeploy

    ray.cloudpickle.register_pickle_by_value(planted)
    small = {"max_replicas": 1, "num_cpus": 0.2}
    config = service.config.model_copy(
        update={
            "ingress": service.config.ingress.model_copy(update=small),
            "encoder": service.config.encoder.model_copy(update=small),
            "decoder": service.config.decoder.model_copy(update=small | {"min_replicas": 2, "max_replicas": 2}),
        }
    )
    name = "rollouts"
    classes = {"encoder": planted.PlantedEncoder, "decoder": planted.PlantedDecoder}
    run(applications(config, registry.location, registry.resolve(), name, **classes), route_prefix=f"/{name}")
    with contextlib.closing(httpx.Client(base_url=f"{service.url}/{name}", timeout=60)) as client:
        yield client
    undeploy(name)


@pytest.fixture
def traffic(client):
    """Requests while the test runs; a list of (key, version that encoded it) and of answers that are not 200."""
    stop, seen, bad = threading.Event(), [], []

    def send():
        records = synthetic.records(100, seed=43)
        while not stop.is_set():
            for number, record in enumerate(records):
                answer = client.post("/v1/encode", params={"key": f"k{number}"}, json={"payload": record})
                if answer.status_code == 200:
                    seen.append((number, answer.json()["codec"]))
                else:
                    bad.append(answer.text)
                if stop.is_set():
                    return

    thread = threading.Thread(target=send)
    thread.start()
    yield seen
    stop.set()
    thread.join()
    assert bad == []


def decoder_processes():
    """Names of the application's decoders, each a new one."""
    import ray
    from ray import serve

    replicas = serve.status().applications["rollouts"].deployments["Decoder"].replica_states
    assert replicas == {"RUNNING": 2}
    return {actor["name"] for actor in ray.util.list_named_actors(True) if "rollouts#Decoder" in actor["name"]}


def wait(store, *states):
    """The rollout in one of these states."""
    for _ in range(PATIENCE_S * 10):
        rollout = store.read()
        if rollout.state in states:
            return rollout
        time.sleep(0.1)
    raise AssertionError(f"still {rollout.model_dump_json(indent=1)}")


def wait_for_version(seen, version):
    """Until some record was encoded by this version."""
    start = len(seen)
    for _ in range(PATIENCE_S * 10):
        if any(codec and version.startswith(codec) for _, codec in seen[start:]):
            return
        time.sleep(0.1)
    raise AssertionError(seen[-10:])


def test_a_good_candidate_is_promoted(registry, traffic):
    store = RolloutStore(registry)
    before = registry.channels().stable
    candidate = publish(registry, "good", seed=42, dictionary_bytes=16384)
    store.start(candidate, QUICK, time.time())
    rollout = wait(store, "stable", "rolled_back")
    assert rollout.state == "stable", rollout.reason
    assert registry.channels().stable == candidate
    wait_for_version(traffic, candidate)
    lines = [line for line in store.history() if line.rollout == rollout.id]
    assert [(line.after, line.after_percent) for line in lines] == [
        ("staged", 0),
        ("canary", 50),
        ("canary", 100),
        ("stable", 100),
    ]
    for line in lines[1:]:
        assert line.measured.compared.records >= QUICK.min_samples
        assert line.measured.candidate.verified >= QUICK.min_samples
        assert line.measured.candidate.mismatches == 0
    # No key went back to the version that it had left.
    changed = set()
    for key, codec in traffic:
        if codec is not None and candidate.startswith(codec):
            changed.add(key)
        elif codec is not None:
            assert before.startswith(codec)
            assert key not in changed


@pytest.mark.slow
def test_a_candidate_that_writes_more_is_rolled_back(registry, client, traffic):
    store = RolloutStore(registry)
    before = registry.channels().stable
    manifest = {"name": "no dictionary", "created_at": "2026-01-01", "architecture": "none"}
    candidate = registry.publish(manifest, {"file": b"unused"})
    store.start(candidate, QUICK, time.time())
    rollout = wait(store, "stable", "rolled_back")
    assert (rollout.state, rollout.percent) == ("rolled_back", 0)
    assert "ratio: 0." in rollout.reason
    assert registry.channels().stable == before
    wait_for_version(traffic, before)


def test_a_candidate_that_cannot_be_loaded_is_rolled_back(registry, client, monkeypatch):
    """It may be damaged after the command looked at it."""
    store = RolloutStore(registry)
    candidate = publish(registry, "damaged", seed=44)
    (Path(registry.location) / "versions" / candidate / "d").write_bytes(b"altered")
    monkeypatch.setattr("serve_app.rollout.store.tried", lambda *_: None)
    store.start(candidate, QUICK, time.time())
    assert "was altered" in wait(store, "rolled_back").reason


def test_a_candidate_that_kills_what_decodes_its_blobs(registry, client, traffic):
    """It is taken back and refused; the decoders, which go on with all others' blobs, are those that there were."""
    store, quarantine = RolloutStore(registry), Quarantine(registry)
    candidate = publish(registry, "kills", seed=45)
    text = synthetic.records(1, seed=46)[0].ljust(4242, "x")  # so many bytes have it do what its name says
    blobs = [registry.load(version).encode(text) for version in (candidate, registry.channels().stable)]
    bad, good = (base64.b64encode(blob).decode() for blob in blobs)
    replicas = decoder_processes()
    store.start(candidate, QUICK.model_copy(update={"dwell_s": 3600}), time.time())
    for _ in range(4):
        results = client.post("/v1/decode", json={"blobs": [good, bad]}).json()["results"]
        assert results[0]["payload"] == text
        assert results[1]["error"]["code"] in ("version_killed", "quarantined_codec")
    assert "quarantine: decoding ended its process by SIGSEGV" in wait(store, "rolled_back").reason
    assert decoder_processes() == replicas
    rows = {row["id"]: row for row in client.get("/v1/versions").json()["versions"]}
    assert rows[candidate]["error"]["code"] == "quarantined_codec"
    assert client.post("/v1/decode", json={"blob": bad}).status_code == 503
    quarantine.release(candidate, "by hand", time.time())
    harmless = base64.b64encode(registry.load(candidate).encode("Remember the milk. " * 9)).decode()
    for _ in range(PATIENCE_S * 10):
        answer = client.post("/v1/decode", json={"blob": harmless})
        if answer.status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError(answer.text)


@pytest.mark.parametrize(
    ("name", "gate", "overrides"),
    [
        pytest.param("slow", "p95", {"max_p95_of_stable": 1.5, "p95_budget_ms": 100}, marks=pytest.mark.slow),
        pytest.param("hangs", "faults", {"candidate_timeout_s": 0.2}, marks=pytest.mark.slow),
        pytest.param("crashes", "faults", {}, marks=pytest.mark.slow),
        ("wrong", "decoding", {}),
    ],
)
def test_a_candidate_that_does_wrong_is_rolled_back(registry, client, traffic, name, gate, overrides):
    """And no request fails by it: `traffic` sees to that."""
    store = RolloutStore(registry)
    before = registry.channels().stable
    candidate = publish(registry, name, seed=50 + len(name))
    store.start(candidate, QUICK.model_copy(update=overrides), time.time())
    rollout = wait(store, "stable", "rolled_back")
    assert (rollout.state, rollout.percent) == ("rolled_back", 0)
    assert gate in rollout.reason
    assert registry.channels().stable == before
    wait_for_version(traffic, before)


@pytest.mark.slow
def test_an_encoder_that_nobody_needs_ends(registry, client):
    from ray import serve

    from serve_app.routing.encoders import encoder_name, encoder_prefix

    for _ in range(PATIENCE_S * 10):
        there = {name for name in serve.status().applications if name.startswith(encoder_prefix("rollouts"))}
        if there == {encoder_name("rollouts", registry.channels().stable)}:
            return
        time.sleep(0.1)
    raise AssertionError(there)
