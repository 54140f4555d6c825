"""A service and its whole Ray session killed in the middle of a rollout: the next one goes on where it was."""

import contextlib
import os
import signal
import subprocess
import time

import httpx
import pytest
import synthetic
import yaml
from dictionary_versions import publish
from rollouts import QUICK

from cluster import config as configuration
from cluster.registry import Registry
from cluster.session import free_port
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.rollout.store import RolloutStore

RECORDS = synthetic.records(60, seed=81)
PATIENCE_S = 120
SLOW_ENOUGH = QUICK.model_copy(update={"dwell_s": 8, "warm_up_calls": 20})
"""To be held at 50 %, between two looks at it; and for replicas that are cold after the restart."""


@pytest.fixture
def registry(tmp_path):
    """Of two versions, the first one stable."""
    registry = Registry(tmp_path / "registry")
    publish(registry, "first", seed=80)
    publish(registry, "second", seed=80, dictionary_bytes=16384)
    return registry


@pytest.fixture
def serve(registry, tmp_path, console_script, clean_environment):
    """A context manager: `nbmf serve` with a Ray session of its own; a client of it. It ends by SIGKILL."""
    packaged = configuration.load(ServeConfig, None, DEFAULT_FILE).model_dump(mode="json")
    small = {name: packaged[name] | {"num_cpus": 0.3} for name in ("ingress", "encoder", "decoder")}
    file = tmp_path / "serve.yaml"
    file.write_text(yaml.safe_dump(packaged | small))

    @contextlib.contextmanager
    def run(port):
        command = [console_script, "serve", "--config", file, "--registry", registry.location, "--port", port]
        with subprocess.Popen(
            [*map(str, command)], env=clean_environment, stdout=subprocess.PIPE, start_new_session=True
        ) as server:
            try:
                assert server.stdout.readline().startswith(b"Serving on")
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                    yield client
            finally:
                os.killpg(server.pid, signal.SIGKILL)

    return run


def send(client):
    """The version that encoded each record; all payloads come back."""
    codecs = {}
    for number, record in enumerate(RECORDS):
        answer = client.post("/v1/encode", params={"key": f"k{number}"}, json={"payload": record})
        assert answer.status_code == 200, answer.text
        decoded = client.post("/v1/decode", json={"blob": answer.json()["blob"]})
        assert decoded.status_code == 200, decoded.text
        assert decoded.json()["payload"] == record
        codecs[number] = answer.json()["codec"]
    return codecs


def send_until(client, done):
    end = time.monotonic() + PATIENCE_S
    while not done(codecs := send(client)):
        assert time.monotonic() < end, codecs


@pytest.mark.slow
def test_a_rollout_survives_the_whole_cluster(registry, serve):
    store = RolloutStore(registry)
    candidate = next(version for version in registry.list_ids() if version != registry.channels().stable)
    with serve(free_port()) as client:
        rollout = store.start(candidate, SLOW_ENOUGH, time.time())
        send_until(client, lambda _: store.read().percent == 50)
        store.change(lambda r: r.with_pause(True))
        time.sleep(1)  # the ingress has read it
        before = send(client)
    assert {codec and candidate.startswith(codec) for codec in before.values()} >= {True, False}
    with serve(free_port()) as client:
        held = store.read()
        assert (held.id, held.state, held.percent, held.paused) == (rollout.id, "canary", 50, True)
        send_until(client, lambda codecs: codecs == before)  # once both versions' encoders run
        store.change(lambda r: r.with_pause(False))
        send_until(client, lambda _: not store.read().is_active)
        assert store.read().state == "stable", store.read().reason
        assert registry.channels().stable == candidate
    lines = [(line.after, line.after_percent) for line in store.history() if line.rollout == rollout.id]
    assert lines == [("staged", 0), ("canary", 50), ("canary", 100), ("stable", 100)]
