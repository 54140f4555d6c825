"""`nbmf bench vectors`."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from bench.vectors.run import nearest, recall


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(32, 32)))[0] * 0.85 ** np.arange(32)
    for name, count in (("data", 60), ("train", 300)):
        x = rng.normal(size=(count, 32)) @ axes.T
        np.save(tmp_path / f"{name}.npy", (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    return tmp_path


@pytest.mark.slow
def test_the_command(nbmf_command, files):
    arguments = ("--data", files / "data.npy", "--train", files / "train.npy")
    plot = files / "plot.png"
    result = nbmf_command("bench", "vectors", *arguments, "--json", files / "out.json", "--plot", plot)
    assert result.code == 0, result.err
    rows = {row["coder"]: row for row in json.loads((files / "out.json").read_text())["rows"]}
    assert rows["float16"]["bytes"] == 64
    assert rows["float16"]["recall_10"] > 0.98
    trained, untrained = rows["nbmf, trained"], rows["nbmf, untrained"]
    assert trained["bytes"] < untrained["bytes"] < rows["int8"]["bytes"]
    assert trained["cosine_mean"] > 0.994
    for row in rows.values():
        assert row["cosine_min"] <= row["cosine_p5"] <= row["cosine_mean"] <= 1
    assert any(name.startswith("faiss") for name in rows) == (find_spec("faiss") is not None)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"{trained['bytes']:.1f}" in result.out.decode()
    assert "60 vectors of 32 numbers, 300 to learn from" in result.out.decode()


def test_files_that_do_not_fit(nbmf_command, files):
    np.save(files / "other.npy", np.zeros((9, 33), np.float32))
    np.save(files / "whole.npy", np.zeros((9, 32), np.int32))
    for other, said in (("other.npy", "33 numbers, not 32"), ("whole.npy", "not floats"), ("none.npy", "none.npy")):
        result = nbmf_command("bench", "vectors", "--data", files / "data.npy", "--train", files / other)
        assert result.code == 2
        assert "".join(said.split()) in "".join(result.err.replace("│", "").split())


def test_recall_is_of_other_vectors():
    x = np.random.default_rng(2).normal(size=(30, 8)).astype(np.float32)
    exact = nearest(x, x)
    assert all(index not in row for index, row in enumerate(exact))
    assert recall(exact, nearest(x, 3 * x)) == 1
    assert recall(exact, nearest(x, -x)) < 0.2
