"""Versions that kill or hang what decodes with them: a process of their own, and no replica, nor anybody's blobs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import planted
import pytest
import synthetic
from dictionary_versions import publish

from cluster.errors import QuarantinedCodec
from cluster.quarantine import Quarantine
from cluster.registry import Registry
from nbmf import Codec, inspect
from nbmf import engine as engine_setting
from nbmf.engine import Engine
from nbmf.errors import DamagedCodec
from nbmf.payload import to_canonical
from serve_app.config import BatchConfig, DecoderLimits
from serve_app.isolation import limits, process
from serve_app.isolation.process import IsolatedProcess, ProcessLost, VersionKilled
from serve_app.isolation.trial import tried
from serve_app.replicas.replicas import Decoder
from serve_app.work.results import Failure

RECORD = synthetic.records(1, seed=91)[0]
TRIGGER = RECORD.ljust(4242, "x")
TIMEOUT_S = 1.0


@pytest.fixture(autouse=True)
def planted_processes(monkeypatch):
    monkeypatch.syspath_prepend(planted.PROCESS)
    monkeypatch.setattr(engine_setting, "_engine", None)


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def decoder(registry):
    made = []

    def make(timeout_s=30.0):
        limits_ = DecoderLimits(max_payload_bytes=100_000, max_loaded_versions=2)
        made.append(Decoder(registry.location, "none", Engine(), BatchConfig(timeout_s=timeout_s), limits_))
        return made[-1]

    yield make
    for one in made:
        one._versions.isolated.close()


def blobs_of(registry, version):
    """A harmless one, and one that has the version do what its name says."""
    codec = registry.load(version)
    harmless, trigger = codec.encode(RECORD), codec.encode(TRIGGER)
    assert inspect(harmless).codec == inspect(trigger).codec == codec.reference.hex()
    return harmless, trigger


def codes(results):
    return [result.code if isinstance(result, Failure) else result[1] for result in results]


@pytest.mark.parametrize(("name", "reason"), [("kills", "SIGSEGV"), ("hangs", "did not come to an end")])
def test_a_version_that_a_blob_has_do_harm(registry, decoder, name, reason):
    """Nobody else's blob waits for it, and what the replica was it still is; its own are refused from then on."""
    version, good = publish(registry, name, seed=41), Codec().encode(RECORD)
    harmless, trigger = blobs_of(registry, version)
    replica = decoder(TIMEOUT_S)
    record = to_canonical(RECORD)[1]

    async def run():
        assert codes(await replica.decode([harmless, good])) == [record, record]
        bad = asyncio.create_task(replica.decode([trigger]))
        await asyncio.sleep(0)
        assert codes(await replica.decode([good])) == [record]
        if name == "hangs":
            assert not bad.done()
        assert codes(await bad) == ["version_killed"]
        return await replica.decode([harmless, good, trigger])

    refused, fine, refused_too = asyncio.run(run())
    assert (refused.code, refused.status, refused) == ("quarantined_codec", 503, refused_too)
    assert fine[1] == record
    assert reason in Quarantine(registry).read()[version].reason
    other = decoder()
    assert codes(asyncio.run(other.decode([harmless, good]))) == ["quarantined_codec", record]
    Quarantine(registry).release(version, "by hand", time.time())
    assert codes(asyncio.run(decoder().decode([harmless]))) == [record]


def test_a_version_that_another_replica_put_into_quarantine(registry, decoder, monkeypatch):
    monkeypatch.setattr("serve_app.replicas.isolated_versions._QUARANTINE_IS_READ_EVERY_S", 0)
    version = publish(registry, "harmless", seed=41)
    (blob, _), replica = blobs_of(registry, version), decoder()
    assert codes(asyncio.run(replica.decode([blob]))) == [to_canonical(RECORD)[1]]
    Quarantine(registry).add(version, "killed another", 1)
    assert codes(asyncio.run(replica.decode([blob]))) == ["quarantined_codec"]
    assert replica._versions.isolated.loaded_ids == []
    Quarantine(registry).release(version, "by hand", 2)
    assert codes(asyncio.run(replica.decode([blob]))) == [to_canonical(RECORD)[1]]


@pytest.mark.parametrize(("name", "reason"), [("kills", "loading ended its process by SIGSEGV"), ("hangs", "loading")])
def test_a_version_is_tried_before_it_is_taken(registry, monkeypatch, name, reason):
    for module in (limits, process):
        monkeypatch.setattr(module, "LOADING_S", 5.0)
    version = publish(registry, f"{name} when loaded", seed=41)
    with pytest.raises(QuarantinedCodec, match=reason):
        tried(registry, version, Engine())
    assert reason in Quarantine(registry).read()[version].reason
    with pytest.raises(QuarantinedCodec):
        tried(registry, version, Engine())
    assert len(Quarantine(registry).lines()) == 1


def test_what_is_merely_wrong_is_not_put_into_quarantine(registry):
    version = publish(registry, "damaged", seed=41)
    (Path(registry.location) / "versions" / version / "d").write_bytes(b"altered")
    with pytest.raises(DamagedCodec, match="was altered"):
        tried(registry, version, Engine())
    assert Quarantine(registry).lines() == []


def test_a_process_that_is_killed_from_outside(registry, decoder):
    """As where memory is short: once it is started again, a second time may well be the version's doing."""
    version = publish(registry, "harmless", seed=41)
    (blob, _), replica = blobs_of(registry, version), decoder()
    for code in ("unavailable", "unavailable"):
        assert codes(asyncio.run(replica.decode([blob]))) == [to_canonical(RECORD)[1]]
        assert Quarantine(registry).lines() == []
        (one,) = replica._versions.isolated._versions.values()
        os.kill(one._process._child._process.pid, signal.SIGKILL)
        assert codes(asyncio.run(replica.decode([blob]))) == [code]
    assert list(Quarantine(registry).read()) == [version]


def test_a_process_that_answers_with_nonsense(registry, monkeypatch):
    folder = registry.fetch(publish(registry, "harmless", seed=41))
    isolated = IsolatedProcess(folder, Engine(), 100_000)
    reading, writing = os.pipe()
    os.write(writing, b"\xff" * 100)
    isolated._child._process.stdout.close()
    monkeypatch.setattr(isolated._child._process, "stdout", os.fdopen(reading, "rb"))
    with pytest.raises(VersionKilled, match="too many items"):
        isolated.decode([b"x"], 1)
    isolated.close()
    os.close(writing)


def test_a_python_that_does_not_start_is_not_the_versions_fault(registry, monkeypatch):
    version = publish(registry, "harmless", seed=41)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ProcessLost, match="did not start"):
        tried(registry, version, Engine())
    assert Quarantine(registry).lines() == []


BUSY = """
import sys
from poison import act
from serve_app.replicas.watchdog import watched
print(watched(lambda how, items: items, len, 30)(None, [b"quick"]), flush=True)
watched(lambda how, items: act("busy"), len, 0.5)(None, [b""])
"""


def test_a_replica_that_hangs_ends(repository):
    """Though the loop in it is compiled, and never lets another thread run: Serve then starts another replica."""
    path = os.pathsep.join([str(repository), str(repository / "tests" / "support")])
    command = [sys.executable, "-c", BUSY]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"[b'quick']\n")
    assert b"Timeout" in done.stderr
    assert b"in act" in done.stderr
