"""`nbmf bench phases`: every part of a token's work has a time, for this processor's code."""

import json
import random

import pytest

from bench.speed import phases, phases_worker
from bench.speed.phases_worker import AT_ONCE, CLUSTER, PHASES
from bench.speed.start import ProcessFailed


@pytest.mark.slow
def test_the_command(nbmf_command, small_version, tmp_path):
    options = (*small_version.options, "--no-older", "--json", tmp_path / "report.json")
    result = nbmf_command("bench", "phases", *options)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["codec"], list(report["modes"])) == (small_version.id, [phases.NATIVE])
    found = report["modes"][phases.NATIVE]
    assert {*PHASES} - {*found["phases"]} == {CLUSTER}, "this network has none"
    for times in found["phases"].values():
        assert times.keys() == {str(count) for count in AT_ONCE}
        assert all(us > 0 for us in times.values())
    assert all(found[name] > 0 for name in ("coding", "encode", "decode", "tokens", "multiply_adds"))
    for name in found["phases"]:
        assert name in result.out.decode()


def test_times_of_a_core_that_is_shared(monkeypatch):
    """What comes before the repeats takes more or less time than they do; it was taken for theirs."""
    rng = random.Random(5)
    monkeypatch.setattr(phases_worker, "_seconds", lambda _, times: rng.uniform(0.05, 0.2) + 0.00002 * times)
    found = [phases_worker._us(lambda _: None, 1) for _ in range(50)]
    assert all(10 < us < 40 for us in found), found


def test_a_version_without_a_network(error_of):
    assert error_of("bench", "phases", "--codec", "none").startswith("nbmf: no_network: ")


def test_a_process_that_fails(tmp_path):
    with pytest.raises(ProcessFailed, match="ended with exit code 1: "):
        phases._measure(phases.Job(tmp_path / "nothing-here", b"x", "text"), {})
