"""Replicas come under load and go after it, and every record comes back all the while."""

import base64
import contextlib
import threading
import time

import httpx
import pytest
import synthetic

from nbmf.payload import to_canonical

pytestmark = pytest.mark.slow

CLIENTS = 12
PATIENCE_S = 120


@pytest.fixture
def client(service, version):
    from serve_app.deploy.deploy import applications, run, undeploy

    scaled = {"min_replicas": 1, "max_replicas": 2, "num_cpus": 0.2, "target_ongoing_requests": 1}
    soon = {"upscale_delay_s": 1, "downscale_delay_s": 3}
    config = service.config.model_copy(
        update={name: getattr(service.config, name).model_copy(update=scaled | soon) for name in ("encoder", "decoder")}
    )
    name = "scaled"
    run(applications(config, version.registry.location, version.id, name), route_prefix=f"/{name}")
    limits = httpx.Limits(max_connections=CLIENTS)
    with contextlib.closing(httpx.Client(base_url=f"{service.url}/{name}", timeout=60, limits=limits)) as client:
        yield client
    undeploy(name)


def replicas():
    """Encoders and decoders that run."""
    from ray import serve

    found = {"Encoder": 0, "Decoder": 0}
    for name, application in serve.status().applications.items():
        for kind, deployment in application.deployments.items():
            if name.startswith("scaled") and kind in found:
                found[kind] += deployment.replica_states.get("RUNNING", 0)
    return found


def wait_for(count):
    for _ in range(PATIENCE_S * 2):
        if replicas() == {"Encoder": count, "Decoder": count}:
            return
        time.sleep(0.5)
    raise AssertionError(f"still {replicas()}")


def test_up_under_load_and_down_after_it(client):
    records, over, wrong, done = synthetic.records(80, seed=3), threading.Event(), [], []

    def load(number):
        at = number
        while not over.is_set():
            record, at = records[at % len(records)], at + 1
            try:
                blob = client.post("/v1/encode", json={"payload": record}).json()["blob"]
                answer = client.post("/v1/decode", json={"blob": blob}).json()
                if to_canonical(answer["payload"]) != to_canonical(record) or not base64.b64decode(blob):
                    wrong.append((record, answer))
            except Exception as error:
                wrong.append(error)
            done.append(at)

    wait_for(1)
    threads = [threading.Thread(target=load, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        wait_for(2)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    many = len(done)
    over.clear()  # a little goes on, while replicas go
    last = threading.Thread(target=load, args=(0,))
    last.start()
    try:
        wait_for(1)
    finally:
        over.set()
        last.join()
    assert wrong == []
    assert len(done) > many > 4 * CLIENTS
