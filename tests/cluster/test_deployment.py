"""The declared service on a real Ray session: put through Serve's REST API, it answers; and a migration's job there."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import synthetic

from cluster import config as configuration
from nbmf import store
from serve_app.config import ServeConfig
from serve_app.declared import serve_body

DASHBOARD_SESSION = Path(__file__).parent.parent / "support" / "dashboard_session.py"
DEADLINE_S = 120


@pytest.fixture(scope="module")
def dashboard(home):
    """A client of the dashboard's REST API; as `gcs_address`, where programs find the session."""
    process = subprocess.Popen(
        [sys.executable, DASHBOARD_SESSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        gcs_address, url = process.stdout.readline().split()
        with httpx.Client(base_url=f"http://{url}", timeout=60) as client:
            client.gcs_address = gcs_address
            yield client
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(answer, done):
    """Asks until the answer is done, and returns it; a service needs some seconds to start."""
    end = time.monotonic() + DEADLINE_S
    while not done(found := answer()):
        assert time.monotonic() < end, found
        time.sleep(0.5)
    return found


def settings_of(file, port, **changed):
    """A packaged configuration, small enough for a test."""
    fields = configuration.load(ServeConfig, None, file).model_dump(mode="json")
    for name in ("ingress", "encoder", "decoder"):
        fields[name] |= {"num_cpus": 0.2}
    return ServeConfig.model_validate(fields | {"host": "127.0.0.1", "port": port, "threads": 1} | changed)


@pytest.mark.slow
def test_the_declared_service_answers(dashboard, version, free_port):
    config = settings_of("serve/production.yaml", free_port)
    body = serve_body(config, version.registry.location)
    accepted = dashboard.put("/api/serve/applications/", json=body)
    assert accepted.status_code == 200, accepted.text

    def application():
        return dashboard.get("/api/serve/applications/").json()["applications"].get("nbmf", {})

    found = wait_for(application, lambda app: app.get("status") in ("RUNNING", "DEPLOY_FAILED"))
    assert found["status"] == "RUNNING", found["message"]
    records = synthetic.records(5, seed=90)
    with httpx.Client(base_url=f"http://127.0.0.1:{free_port}", timeout=60) as client:
        wait_for(lambda: client.get("/-/healthz"), lambda answer: answer.text == "success")  # what KubeRay's probe asks
        assert client.get("/healthz").json() == {"status": "ok"}
        encoded = client.post("/v1/encode", json={"records": [{"payload": r} for r in records]}).json()["results"]
        assert {result["codec"] for result in encoded} <= {version.id[:4], None}
        blobs = [result["blob"] for result in encoded]
        decoded = client.post("/v1/decode", json={"blobs": blobs}).json()["results"]
        assert [result["payload"] for result in decoded] == records
        # Declared again, as after a change of the file: in place, with the limits that it now has.
        again = serve_body(
            settings_of("serve/production.yaml", free_port, max_batch_records=3), version.registry.location
        )
        assert dashboard.put("/api/serve/applications/", json=again).status_code == 200
        wait_for(lambda: client.post("/v1/decode", json={"blobs": blobs}), lambda answer: answer.status_code == 413)
        # The encoder, which was not declared, is still there.
        assert client.post("/v1/encode", json={"payload": records[0]}).json()["blob"] == blobs[0]
        # A mistake in the arguments is told, and what ran goes on.
        again["applications"][0]["args"]["max_batch_recrods"] = 1
        assert dashboard.put("/api/serve/applications/", json=again).status_code == 200
        found = wait_for(application, lambda app: app.get("status") == "DEPLOY_FAILED")
        assert "max_batch_recrods: Extra inputs are not permitted" in found["message"]
        assert client.post("/v1/decode", json={"blob": blobs[0]}).json()["payload"] == records[0]


@pytest.mark.slow
def test_the_command_of_a_rayjob(dashboard, version, tmp_path, console_script, clean_environment):
    """As Ray's job supervisor starts it, on the session. One record cannot be read, which does not fail the job."""
    from migrate_job.cli.manifest import entrypoint

    records = synthetic.records(40, seed=91)
    source = synthetic.write_jsonl(tmp_path / "old.jsonl", records)
    with source.open("a") as file:
        file.write("{not json\n")
    found = {
        "PATH": f"{console_script.parent}:{clean_environment['PATH']}",
        "NBMF_REGISTRY": version.registry.location,
        "RAY_ADDRESS": dashboard.gcs_address,
    }

    def run(*arguments):
        return subprocess.run(
            ["/bin/sh", "-c", entrypoint([str(source), *arguments])],
            env=clean_environment | found,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    result = run(str(tmp_path / "new"))
    assert result.returncode == 0, result.stderr
    assert "1 records were not migrated" in result.stdout
    migrated = [record.payload(version.codec) for record in store.iterate(tmp_path / "new")]  # in the order of keys
    assert sorted(map(json.dumps, migrated)) == sorted(map(json.dumps, records))
    refused = run(str(tmp_path / "new"), "--limit", "3")  # of another plan
    assert (refused.returncode, "destination_error" in refused.stderr) == (1, True)
