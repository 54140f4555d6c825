"""Runs that are killed, their workers and nodes with them: resumed, the destination is that of an unbroken run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import synthetic

from cluster.sources import jsonl, open_source
from migrate_job import job

pytestmark = pytest.mark.slow

SHARD_LINES = 40
RECORDS = 2400


def results(destination):
    """What a migration is, without its lock, the seconds it took and the page with them."""
    found = synthetic.snapshot(destination)
    for name in ("_lock", job.REPORT_PAGE):
        found.pop(name)
    return {
        name: json.loads(data) | {"seconds": 0} if data is not None and name.endswith(".json") else data
        for name, data in found.items()
    }


DRIVER = """
import sys, time
from pathlib import Path
from cluster.errors import DestinationError
from cluster.session import session
from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import run

run.LITTLE_BYTES = -1
address, source, destination, registry, version_id, shard_lines = sys.argv[1:]
jsonl._SHARD_LINES = int(shard_lines)
with session(address):
    print("connected", flush=True)
    while True:
        try:
            report = job.run(open_source(source), Path(destination), registry, version_id)
        except DestinationError as error:  # the lock of a run that was killed, until the system has ended it
            assert "at work" in str(error)
            time.sleep(0.05)
        else:
            break
print(report.migrated, report.dead, flush=True)
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", SHARD_LINES)
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", synthetic.records(RECORDS, seed=71))
    with path.open("ab") as file:
        file.write(b"{broken\n")
    return path


@pytest.fixture
def drive(ray_session, version, repository):
    """A function: starts a driver, in a process of its own, on this session; waits until it is connected."""
    started = []

    def start(source, destination):
        address = ray_session.get_runtime_context().gcs_address
        registry = version.registry.location
        arguments = (address, source, destination, registry, version.id, SHARD_LINES)
        environment = {**os.environ, "RAY_ADDRESS": ""}
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, arguments)],
            cwd=repository,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert "connected" in process.stdout.readline(), process.stderr.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def unbroken(source, drive, tmp_path):
    """(results, seconds) of a run that nobody kills."""
    begin = time.monotonic()
    ended = drive(source, tmp_path / "unbroken")
    assert ended.wait(120) == 0, ended.stderr.read()
    return results(tmp_path / "unbroken"), time.monotonic() - begin


def test_ten_runs_killed_at_random_moments(source, drive, unbroken, tmp_path):
    expected, seconds = unbroken
    rng = random.Random(7)
    destination = tmp_path / "killed"
    done = []
    for _ in range(10):
        driver = drive(source, destination)
        time.sleep(rng.uniform(0, seconds / 6))
        driver.kill()
        driver.wait()
        done.append(len(list(destination.glob("_done/*.json"))))
    assert done == sorted(done)  # nothing that was done is undone
    ended = drive(source, destination)
    assert ended.wait(120) == 0, ended.stderr.read()
    assert ended.stdout.read().split() == [str(RECORDS), "1"]
    assert results(destination) == expected


def processes(names):
    """Processes of these tests' Ray that are called so; other sessions have other home folders."""
    found, ours = [], f"HOME={os.environ['HOME']}".encode()
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdecimal() or names not in (folder / "cmdline").read_bytes():
                continue
            if ours in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("names", [b"ray::MapWorker", b"migrate_job.coding.coder_process"], ids=["actors", "coders"])
def test_workers_killed_in_the_middle_of_shards(source, drive, unbroken, names, tmp_path):
    expected, _ = unbroken
    destination = tmp_path / "killed"
    driver = drive(source, destination)
    killed = 0
    while driver.poll() is None and killed < 4:
        if list(destination.glob("_done/*.json")):
            for pid in processes(names)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.3)
    assert killed >= 2
    assert driver.wait(120) == 0, driver.stderr.read()
    assert results(destination) == expected


NODES = """
import sys
from pathlib import Path
from cluster.session import prepare_environment
prepare_environment()
import ray
from ray.cluster_utils import Cluster
from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import run

run.LITTLE_BYTES = -1
source, destination, registry, version_id, shard_lines = sys.argv[1:]
jsonl._SHARD_LINES = int(shard_lines)
memory = 100 * 2**20
cluster = Cluster(
    initialize_head=True,
    head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": memory},
)
first = cluster.add_node(num_cpus=2, object_store_memory=memory)
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
done = 0

def on_shard(counts):
    global done
    done += 1
    if done == 3:
        cluster.remove_node(first, allow_graceful=False)
        cluster.add_node(num_cpus=2, object_store_memory=memory)

report = job.run(open_source(source), Path(destination), registry, version_id, on_shard=on_shard)
print("\\nRESULT", report.migrated, report.dead, done, flush=True)
ray.shutdown()
cluster.shutdown()
"""


def test_a_node_killed_in_the_middle_of_a_run(source, version, unbroken, repository, tmp_path):
    expected, _ = unbroken
    destination = tmp_path / "killed"
    arguments = (source, destination, version.registry.location, version.id, SHARD_LINES)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ran = subprocess.run(
        [sys.executable, "-c", NODES, *map(str, arguments)],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    shards = len(open_source(source).plan())
    assert f"RESULT {RECORDS} 1 {shards}" in ran.stdout.splitlines()
    assert results(destination) == expected
