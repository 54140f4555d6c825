"""`nbmf bench training`: what it measures is what the run's log says."""

import json

import pytest
import synthetic

from bench.training import run as training_bench
from bench.training.cli import table


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_tiny_networks_on_one_worker_and_on_two(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", synthetic.records(400, seed=5))
    asked = ("bench", "training", "--data", path, "--preset", "tiny", "--minutes", 0.2, "--json", tmp_path / "out.json")
    result = nbmf_command(*asked)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "out.json").read_text())
    assert [(row["preset"], row["workers"]) for row in report["rows"]] == [("tiny", 1), ("tiny", 2)]
    for row in report["rows"]:
        assert row["tokens_per_s"] > 100
        assert 100 < row["peak_memory_mib"] < 10_000
        flops = row["tokens_per_s"] * row["macs_per_token"] * 6
        assert row["share_of_peak"] == pytest.approx(flops / report["peak"]["flops"])
    assert report["peak"]["device"] == "cpu"
    assert "tiny" in result.out.decode()
    assert "TFLOP/s in" in result.out.decode()


def test_the_peak_is_of_real_products():
    peak = training_bench._peak("cpu", 256)
    assert peak["dtype"] in ("float32", "bfloat16")
    assert 1e8 < peak["flops"] < 1e14


def test_gpus_have_a_column_of_their_own():
    row = {"preset": "base", "workers": 2, "tokens_per_s": 1e6, "scaling": 1.9, "share_of_peak": 0.3}
    row |= {"peak_memory_mib": 3000, "gpu_peak_memory_mib": 9000}
    assert len(table({"rows": [row]}).columns) == 7
    del row["gpu_peak_memory_mib"]
    assert len(table({"rows": [row]}).columns) == 6


def test_unknown_networks_are_named(nbmf_command):
    result = nbmf_command("bench", "training", "--preset", "huge")
    assert result.code == 2
    assert "no such network: huge" in result.err
