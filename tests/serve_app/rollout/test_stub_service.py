"""A real service that begins with the stub: a version takes its place, and what the stub wrote stays readable."""

import contextlib
import time

import httpx
import pytest
import synthetic
from dictionary_versions import publish
from rollouts import QUICK

from cluster.registry import Registry
from nbmf import stub
from serve_app.rollout.store import RolloutStore

NAME = "from-the-stub"
PATIENCE_S = 120


@pytest.fixture
def registry(ray_session, tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.assign("stable", "stub")
    return registry


@pytest.fixture
def client(service, registry):
    """For an application of its own, beside the one of the other tests."""
    from serve_app.deploy.deploy import applications, run, undeploy

    small = {"max_replicas": 1, "num_cpus": 0.2}
    sizes = {name: getattr(service.config, name).model_copy(update=small) for name in ("ingress", "encoder", "decoder")}
    config = service.config.model_copy(update=sizes)
    run(applications(config, registry.location, registry.resolve(), NAME), route_prefix=f"/{NAME}")
    with contextlib.closing(httpx.Client(base_url=f"{service.url}/{NAME}", timeout=60)) as client:
        yield client
    undeploy(NAME)


@pytest.mark.slow
def test_from_the_stub_to_a_version(registry, client):
    records, store = synthetic.records(100, seed=43), RolloutStore(registry)
    first = client.post("/v1/encode", json={"payload": records[0]}).json()
    assert first["blob"] == stub.encode(records[0], "lossless")
    candidate = publish(registry, "good", seed=42, dictionary_bytes=16384)
    store.start(candidate, QUICK, time.time())
    until = time.monotonic() + PATIENCE_S
    while (rollout := store.read()).is_active and time.monotonic() < until:
        for number, record in enumerate(records):
            client.post("/v1/encode", params={"key": f"k{number}"}, json={"payload": record}).raise_for_status()
    assert rollout.state == "stable", rollout.reason
    assert registry.channels().stable == candidate
    last = client.post("/v1/encode", json={"payload": records[0]}).json()
    assert last["codec"] == candidate[:4]
    assert [(line.after, line.after_percent) for line in store.history()] == [
        ("staged", 0), ("canary", 50), ("canary", 100), ("stable", 100),
    ]  # fmt: skip
    back = client.post("/v1/decode", json={"blob": first["blob"]}).json()
    assert (back["payload"], back["dict_blob"]) == (records[0], "stub")
    rows = client.get("/v1/versions").json()["versions"]
    assert [(row["id"], row["channels"]) for row in rows] == [("stub", []), (candidate, ["stable"])]
