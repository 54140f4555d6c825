"""`nbmf bench faults`, in a process of its own: it starts a Ray cluster."""

import json
import subprocess

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_parts_cost_no_record_and_end_no_rollout(console_script, clean_environment, tmp_path):
    path = tmp_path / "faults.json"
    subprocess.run([console_script, "bench", "faults", "--json", path], env=clean_environment, check=True, timeout=580)
    outcome = json.loads(path.read_text())
    assert (outcome["wrong"], outcome["state"]) == (0, "stable")
    assert len(outcome["faults"]) == 6
    for fault in outcome["faults"]:
        assert fault["requests"] > 0
        assert fault["wrong"] == 0
        assert not [what for what in fault["failures"] if what.startswith("500")]
        # A connection may break with the ingress that it went to; nothing else is lost.
        if fault["killed"] not in ("an ingress", "a node"):
            assert fault["failures"] == {}
