"""Two decoder replicas of a real service that share more versions than one of them keeps in memory."""

import base64
import contextlib
import time

import httpx
import planted
import pytest
import synthetic
from dictionary_versions import publish

from cluster.registry import Registry

VERSIONS = 4
KEPT = 3
ROUNDS = 40
PAUSE_S = 0.1
"""Replicas tell Serve's controller what they have ten times a second, and it tells the ingress."""


@pytest.fixture(scope="module")
def registry(ray_session, tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("multiplexing") / "registry")
    for number in range(VERSIONS + 1):  # the first one is stable
        publish(registry, f"version {number}", seed=61)
    return registry


@pytest.fixture(scope="module")
def client(service, registry):
    import ray.cloudpickle

    from serve_app.deploy.deploy import applications, run, undeploy

    ray.cloudpickle.register_pickle_by_value(planted)
    small = {"max_replicas": 1, "num_cpus": 0.2}
    sizes = {name: getattr(service.config, name).model_copy(update=small) for name in ("ingress", "encoder")}
    decoder = service.config.decoder.model_copy(update=small | {"min_replicas": 2, "max_replicas": 2})
    config = service.config.model_copy(update=sizes | {"decoder": decoder, "max_loaded_versions": KEPT})
    name = "multiplexing"
    targets = applications(config, registry.location, registry.resolve(), name, decoder=planted.TellingDecoder)
    run(targets, route_prefix=f"/{name}")
    with contextlib.closing(httpx.Client(base_url=f"{service.url}/{name}", timeout=60)) as client:
        yield client
    undeploy(name)


def test_blobs_go_where_their_version_is(client, registry, tmp_path_factory):
    record = synthetic.records(1, seed=62)[0]
    others = [version for version in registry.list_ids() if version != registry.channels().stable]
    blobs = [base64.b64encode(registry.load(version).encode(record)).decode() for version in others]
    stable = client.post("/v1/encode", json={"payload": record}).json()["blob"]
    file = (tmp_path_factory.getbasetemp() / registry.location).with_name("loads")
    loads = []
    for _ in range(ROUNDS):
        for blob in (*blobs, stable):
            assert client.post("/v1/decode", json={"blob": blob}).json()["payload"] == record
        time.sleep(PAUSE_S)
        loads.append(len(file.read_text().splitlines()))
    told = file.read_text()
    assert loads[-1] == loads[ROUNDS // 2], told  # none is loaded any more
    assert len({line.split()[0] for line in told.splitlines()}) == 2, told  # and both replicas have some
    assert registry.channels().stable not in told
    batch = client.post("/v1/decode", json={"blobs": [*blobs, stable, "AAAA", blobs[0]]}).json()["results"]
    assert [result.get("payload") for result in batch] == [record] * 5 + [None, record]
