"""`nbmf bench vectors`."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from bench.vectors.run import _rabitq, nearest, recall
from bench.vectors.texts import embeddings


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
    for name, row in rows.items():
        assert ("cosine_mean" in row) == ("decode_per_s" in row) == ("RaBitQ" not in name)
        if "cosine_mean" in row:
            assert row["cosine_min"] <= row["cosine_p5"] <= row["cosine_mean"] <= 1
        assert row["recall_10"] > 0.5
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


@pytest.mark.skipif(find_spec("faiss") is None, reason="RaBitQ is faiss'")
def test_rabitq_is_searched_by_its_own_distances(files):
    vectors, training = (np.load(files / f"{name}.npy") for name in ("data", "train"))
    coder = _rabitq(32, 5, training)
    found = coder.search(3 * vectors)
    assert found.shape == (60, 10)
    assert all(place not in row for place, row in enumerate(found))
    assert recall(nearest(vectors, vectors), found) > 0.8


SUBJECTS = ["rain wind cloud storm", "flour butter oven dough", "train ticket platform delay"]


def texts(count):
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(SUBJECTS[i % 3].split(), size=9)) + f" note {i}" for i in range(count)]


def test_texts_about_the_same_are_near():
    training, measured = embeddings(texts(300), texts(330)[300:] + texts(2) + ["!", "!"], 8)
    assert (training.shape, measured.shape, measured.dtype) == ((300, 8), (30, 8), np.float32)
    assert np.allclose(np.linalg.norm(training, axis=1), 1, atol=1e-5)
    cosines = measured @ measured.T
    alike = np.arange(30)[:, None] % 3 == np.arange(30) % 3
    assert cosines[alike].mean() > cosines[~alike].mean() + 0.5
    assert np.array_equal(embeddings(texts(300), texts(330)[300:], 8)[1], measured)


def test_too_few_texts(nbmf_command, tmp_path):
    (tmp_path / "few.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts(30)))
    result = nbmf_command("bench", "vectors", "--texts", tmp_path / "few.jsonl", "--dims", "8")
    assert result.code == 1
    assert "15 different texts to learn from are too few for 8 dims" in " ".join(result.err.split())


def test_files_or_texts(nbmf_command, files):
    data, more = ("--data", files / "data.npy"), ("--train", files / "train.npy")
    for options in ((), data, more, ("--texts", "x"), ("--dims", "8"), (*data, *more, "--texts", "x", "--dims", "8")):
        result = nbmf_command("bench", "vectors", *options)
        assert result.code == 2
        assert "give--dataand--train,or--textsand--dims" in "".join(result.err.replace("│", "").split())


@pytest.mark.slow
def test_the_command_with_texts(nbmf_command, tmp_path):
    (tmp_path / "many.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts(700)))
    options = ("--texts", tmp_path / "many.jsonl", "--dims", "16", "--no-pq", "--json", tmp_path / "out.json")
    result = nbmf_command("bench", "vectors", *options)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["vectors"], report["dims"], report["derived"]) == (350, 16, True)
    assert not any("PQ" in row["coder"] for row in report["rows"])
    assert "350 vectors of 16 numbers, derived from words of texts, 350 to learn from" in result.out.decode()
