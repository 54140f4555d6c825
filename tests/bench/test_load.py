"""`nbmf bench load` against a service whose limits are known, and briefly against a real one."""

import asyncio
import json
import subprocess

import pytest
import synthetic
from load_server import LoadServer

from bench.load import search
from bench.load.arrivals import Arrival
from bench.load.bodies import exchanges
from bench.load.client import LoadClient, ServiceFailed
from bench.records import NotEqual

PAYLOADS = synthetic.records(8, seed=12)
OPTIONS = ("--payload-field", "payload", "--seconds", 0.5, "--start-rps", 20, "--factor", 2, "--refine", 0)


@pytest.fixture
def data(tmp_path):
    return synthetic.write_jsonl(tmp_path / "data.jsonl", [{"payload": payload} for payload in PAYLOADS])


def run_client(server, arrivals):
    """Outcomes of these arrivals, and how many blobs were found wrong later."""

    async def run():
        client = await LoadClient.open(server.url, None, exchanges(PAYLOADS))
        try:
            await client.prepare()
            return await client.run(arrivals), await client.verify()
        finally:
            await client.close()

    return asyncio.run(run())


def test_requests_are_sent_when_they_are_due_though_none_is_answered():
    """20 at once to a service that needs 20 ms each: the k-th waits for those before it."""
    arrivals = [Arrival(0.001 * i, "encode", i % 8) for i in range(20)]
    with LoadServer(service_s=0.02).running() as server:
        outcomes, wrong = run_client(server, arrivals)
    assert (len(outcomes), wrong) == (20, 0)
    for place, found in enumerate(sorted(outcomes, key=lambda found: found.done_s), start=1):
        assert found.done_s >= 0.02 * place
    assert [found.due_s for found in outcomes] == [arrival.at_s for arrival in arrivals]
    assert all(found.status == 200 and found.sent_s >= found.due_s for found in outcomes)


def test_rejected_requests_are_told_from_failed_ones():
    arrivals = [Arrival(0, "decode", 0)] * 30
    with LoadServer(service_s=0.02, queue=5).running() as server:
        outcomes, _ = run_client(server, arrivals)
    statuses = [found.status for found in outcomes]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 5


def test_what_is_refused_before_anything_is_measured_is_sent_again(monkeypatch):
    monkeypatch.setattr("bench.load.client.RETRY_AFTER_S", 0.05)
    with LoadServer(service_s=0.01, queue=1).running() as server:
        outcomes, wrong = run_client(server, [])
        assert (outcomes, wrong, server.counts) == ([], 0, {"encode": 8, "decode": 8})


def test_a_service_that_refuses_everything(monkeypatch):
    monkeypatch.setattr("bench.load.client.RETRY_AFTER_S", 0.001)
    with LoadServer(queue=0).running() as server, pytest.raises(ServiceFailed, match=r"503.*unavailable"):
        run_client(server, [])


def test_a_service_that_goes_away():
    with LoadServer().running() as server:

        async def run():
            client = await LoadClient.open(server.url, None, exchanges(PAYLOADS))
            await client.prepare()
            client._url = "http://127.0.0.1:9"
            outcomes = await client.run([Arrival(0, "encode", 0)])
            await client.close()
            return outcomes

        (found,) = asyncio.run(run())
    assert (found.status, found.unequal) == (0, False)


def test_payloads_that_come_back_different_are_counted():
    with LoadServer().running() as server:
        server.wrong_payload = PAYLOADS[3]
        outcomes, _ = run_client(server, [Arrival(0, "decode", i % 8) for i in range(16)])
    assert [i % 8 for i, found in enumerate(outcomes) if found.unequal] == [3, 3]


def test_blobs_that_differ_are_decoded_afterwards():
    with LoadServer().running() as server:
        server.blobs_differ = True
        arrivals = [Arrival(0, "encode", i % 8) for i in range(16)]
        outcomes, wrong = run_client(server, arrivals)
        assert (wrong, any(found.unequal for found in outcomes)) == (0, False)
        assert server.counts == {"encode": 8 + 16, "decode": 8 + 16}
        server.wrong_payload = PAYLOADS[5]
        with pytest.raises(NotEqual, match="nothing was measured"):
            run_client(server, arrivals)


@pytest.fixture
def kept_up(monkeypatch):
    """A function: up to which rate a service counts as keeping up, whatever this machine is busy with."""
    return lambda rate: monkeypatch.setattr(search, "sustained", lambda step: step["target_rps"] <= rate)


def test_the_command(nbmf_command, data, tmp_path, kept_up):
    kept_up(50)
    options = (*OPTIONS, "--json", tmp_path / "load.json", "--plot", tmp_path / "load.png")
    with LoadServer(service_s=0.005, queue=30, key="k").running() as server:
        result = nbmf_command("bench", "load", "--url", server.url, "--api-key", "k", "--data", data, *options)
        answered = sum(server.counts.values())
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "load.json").read_text())
    assert (report["saturated"], report["unequal"], report["codec"]) == (True, 0, None)
    assert report["records"]["count"] == len(PAYLOADS)
    steps = report["steps"]
    assert [(step["phase"], step["target_rps"]) for step in steps] == [
        ("rising", 20),
        ("rising", 40),
        ("rising", 80),
        ("half", 20),
        ("beyond", 80),
    ]
    assert (report["saturation_rps"], report["half"], report["beyond"]) == (40, steps[3], steps[4])
    assert sum(step["statuses"].get("200", 0) for step in steps) + 2 * len(PAYLOADS) == answered
    for step in steps:
        assert step["statuses"].keys() <= {"200", "503"}
        assert sum(step["statuses"].values()) == step["requests"]
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")
    assert b"Saturation: 40.0 requests a second were the most" in result.out


def test_a_difference_is_an_exit_code(nbmf_command, data, kept_up):
    kept_up(40)
    with LoadServer().running() as server:
        server.wrong_payload = PAYLOADS[0]
        result = nbmf_command("bench", "load", "--url", server.url, "--data", data, *OPTIONS, "--max-rps", 40)
    assert result.code == 1
    assert b"Payloads that came back different: 0." not in result.out
    assert b"Payloads that came back different: " in result.out


def test_a_service_that_refuses_the_key(error_of, data):
    with LoadServer(key="right").running() as server:
        message = error_of("bench", "load", "--url", server.url, "--api-key", "wrong", "--data", data, *OPTIONS)
    assert message.startswith(f"nbmf: service_failed: {server.url}/v1/encode: 401")


def test_no_service(error_of, data, free_port):
    message = error_of("bench", "load", "--url", f"http://127.0.0.1:{free_port}", "--data", data, *OPTIONS)
    assert "does not answer" in message


@pytest.mark.slow
def test_a_real_service(version, data, tmp_path, console_script, clean_environment):
    """In a Ray session of its own: a service of the tests' session has Serve's one address."""
    options = (*OPTIONS, "--max-rps", 20, "--json", tmp_path / "load.json")
    where = ("--codec", version.id, "--registry", version.registry.location)
    command = [console_script, "bench", "load", "--data", data, *where, *options]
    result = subprocess.run(
        [*map(str, command)], env=clean_environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "load.json").read_text())
    assert report["unequal"] == 0
    assert report["steps"][0]["statuses"].keys() == {"200"}
    assert report["codec"] == version.id
