"""`nbmf bench semantic`: bytes and similarity by kind of value."""

import json
import math
from importlib.util import find_spec

import numpy as np
import pytest
import synthetic

from bench.records import NothingToMeasure
from bench.semantic import similarity
from bench.semantic.run import run
from bench.semantic.values import values_of
from nbmf import Codec, json_text
from nbmf.errors import MissingExtra
from nbmf.vectors.compare import cosines


def vector(k, dims):
    return [math.sin(n * k) for n in range(1, dims + 1)]


RECORDS = [
    {"text": f"Call Anna about invoice {k}.", "n": k, "price": 1.5 * k, "ok": True, "v": vector(k, 384), "short": [0.5]}
    for k in range(1, 9)
]


@pytest.fixture
def rows():
    return {row["values"]: row for row in run([*RECORDS, np.array(vector(3, 96)), "words"], Codec(), "auto")}


def test_a_record_is_taken_apart():
    found = values_of({"a": [["x", 1], {"b": vector(1, 64)}], "c": None, "d": [2.5, True], "e": vector(1, 63)})
    assert found.vectors == [vector(1, 64)]
    assert found.text == ["x"]
    assert found.numbers == [1, 2.5, *vector(1, 63)]
    assert found.rest == {"a": [[None, None], {"b": None}], "c": None, "d": [None, True], "e": [None] * 63}
    assert values_of(json_text.loads("[1.50]")).rest == [None]
    deep = synthetic.nested(5000)
    assert values_of(deep).payloads()
    assert values_of(np.zeros((2, 2))).vectors == []


def test_vectors_shrink_and_nothing_else_changes(rows):
    assert list(rows) == ["whole records", "vectors of 96", "vectors of 384", "text", "numbers", "JSON otherwise"]
    codec, near = Codec(), [cosines(record, Codec().decode(Codec().encode(record, "semantic"))) for record in RECORDS]
    of_384 = rows["vectors of 384"]
    assert (of_384["count"], of_384["changed"]) == (8, 8)
    assert of_384["lossless_bytes"] == sum(len(codec.encode(record["v"])) for record in RECORDS)
    assert of_384["semantic_bytes"] == sum(len(codec.encode(record["v"], "semantic")) for record in RECORDS)
    assert of_384["gain"] == 1 - of_384["semantic_bytes"] / of_384["lossless_bytes"] > 0.5
    assert of_384["similarity"]["cosine_mean"] == pytest.approx(np.mean(near))
    assert of_384["similarity"]["cosine_min"] == pytest.approx(np.min(near))
    for name, told in (
        ("text", {"bleu": 1, "rouge_l": 1}),
        ("numbers", {"relative_error_mean": 0, "relative_error_max": 0}),
        ("JSON otherwise", {}),
    ):
        row = rows[name]
        assert (row["changed"], row["similarity"]) == (0, told)
        assert row["lossless_bytes"] == row["semantic_bytes"] > 0
    assert rows["text"]["count"] == 9
    assert rows["numbers"]["count"] == 24
    whole = rows["whole records"]
    assert (whole["count"], whole["changed"]) == (10, 9)
    assert whole["semantic_bytes"] == sum(len(codec.encode(r, "semantic")) for r in RECORDS) + len(
        codec.encode(np.array(vector(3, 96)), "semantic")
    ) + len(codec.encode("words"))


def test_the_command(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", RECORDS)
    out = tmp_path / "out.json"
    result = nbmf_command("bench", "semantic", "--data", path, "--codec", "none", "--json", out)
    assert result.code == 0, result.err
    report = json.loads(out.read_text())
    assert (report["records"], report["effort"]) == (8, "auto")
    assert report["rows"] == run(RECORDS, Codec(), "auto")
    for row in report["rows"]:
        assert row["values"] in result.out.decode()
        assert f"{row['semantic_bytes']:,}" in result.out.decode()


def test_no_records():
    with pytest.raises(NothingToMeasure):
        run([], Codec(), "auto")


# --- similarity ---------------------------------------------------------------------------------------------------


def test_vectors():
    a, zeros = np.array(vector(1, 10)), np.zeros(10)
    assert similarity.of_vectors([(a, 2 * a), (a, -a), (zeros, zeros), (a, zeros)]) == {
        "cosine_mean": pytest.approx(0.25),
        "cosine_p5": pytest.approx(-0.85),
        "cosine_min": pytest.approx(-1),
    }


def test_numbers():
    found = similarity.of_numbers([(1, 1), (2.0, 2.5), (json_text.loads("1.50"), 1.5)])
    assert found == {"relative_error_mean": pytest.approx(0.25 / 3), "relative_error_max": 0.25}
    assert similarity.of_numbers([(0, 1e-9)])["relative_error_max"] == math.inf


def test_equal_text_needs_no_packages(monkeypatch):
    monkeypatch.setattr("nbmf.extras.find_spec", lambda _: None)
    assert similarity.of_text([("a", "a"), ("", "")]) == {"bleu": 1.0, "rouge_l": 1.0}
    with pytest.raises(MissingExtra, match=r"nbmf\[bench\]"):
        similarity.of_text([("a", "a"), ("a", "b")])


@pytest.mark.skipif(find_spec("sacrebleu") is None, reason="the extra `bench` is not installed")
def test_text_that_differs():
    given, found = "the cat sat on the mat today", "the cat sat on the rug today"
    told = similarity.of_text([(given, found), (given, given)])
    assert told["rouge_l"] == pytest.approx((6 / 7 + 1) / 2)
    # Matches of 1 to 4 words: 6 of 7, 4 of 6, 3 of 5, 2 of 4.
    assert told["bleu"] == pytest.approx(((6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** 0.25 + 1) / 2)
