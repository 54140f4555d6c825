"""`nbmf data pairs`."""

import base64
import math
import random

import pytest
import synthetic

from nbmf import json_text
from nbmf.payload import to_canonical

FIELDS = ["original", "compressed", "reconstructed", "compression_ratio", "similarity_score"]


def pairs_in(path):
    return [json_text.loads(line) for line in path.read_text().splitlines()]


def test_every_pair_is_what_it_says(nbmf_command, version, tmp_path):
    records = synthetic.records(90, seed=51)
    lines = [{"domain": "d", "type": "text", "data": record} for record in [*records, records[0]]]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", lines)
    options = ("--codec", version.id[:12], "--registry", version.registry.location)
    result = nbmf_command("data", "pairs", path, "-o", tmp_path / "pairs.jsonl", *options)
    assert result.code == 0, result.err
    found = pairs_in(tmp_path / "pairs.jsonl")
    assert [list(one) for one in found] == [FIELDS] * 90
    assert [one["original"] for one in found] == [one["reconstructed"] for one in found] == records
    blobs = [base64.b64decode(one["compressed"]) for one in found]
    assert version.codec.decode_batch(blobs) == records
    sizes = [len(to_canonical(record).data) for record in records]
    ratios = [round(size / len(blob), 4) for size, blob in zip(sizes, blobs, strict=True)]
    assert [one["compression_ratio"] for one in found] == ratios
    assert {one["similarity_score"] for one in found} == {1.0}
    assert f"90 pairs in {tmp_path}/pairs.jsonl by {version.id[:12]}: ratio " in result.out.decode()
    assert f"{sum(sizes) / sum(map(len, blobs)):.2f} in total" in result.out.decode()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def test_vectors_of_semantic_fidelity(nbmf_command, tmp_path):
    rng = random.Random(8)
    vectors = [[rng.gauss(0, 1) for _ in range(384)] for _ in range(6)]
    records = [{"said": "hello", "embedding": vectors[n], "other": vectors[n + 3]} for n in range(3)]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*records, {"said": "nothing changed"}])
    options = ("--codec", "none", "--fidelity", "semantic")
    result = nbmf_command("data", "pairs", path, "-o", tmp_path / "pairs.jsonl", *options)
    assert result.code == 0, result.err
    *found, same = pairs_in(tmp_path / "pairs.jsonl")
    assert (same["similarity_score"], same["reconstructed"]) == (1.0, {"said": "nothing changed"})
    for one, record in zip(found, records, strict=True):
        assert one["original"] == record != one["reconstructed"]
        assert one["reconstructed"]["said"] == "hello"
        pairs = [(record[name], one["reconstructed"][name]) for name in ("embedding", "other")]
        mean = sum(cosine(a, b) for a, b in pairs) / 2
        assert one["similarity_score"] == pytest.approx(mean, abs=1e-6)
        assert 0.98 <= one["similarity_score"] < 1


def test_what_does_not_come_back_is_no_pair(nbmf_command, version, tmp_path, monkeypatch):
    """Nor is what no line of JSON can hold; both are told with their places."""
    from nbmf.codec import Codec

    def one_wrong(self, blobs, **_):
        return ["something else", *original(self, blobs)[1:]]

    original = Codec.decode_batch
    monkeypatch.setattr(Codec, "decode_batch", one_wrong)
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*synthetic.records(5, seed=52), "\ud83d\ude00", "\ud800"])
    path.write_bytes(path.read_bytes() + b"{cut\n")
    result = nbmf_command("data", "pairs", path, "-o", tmp_path / "pairs.jsonl", "--codec", "none")
    assert result.code == 3, result.err
    out = result.out.decode()
    assert f"1 not_equal: {path}:1 (the blob decodes to another record)" in out
    assert f"1 not_json: {path}:8" in out
    assert len(pairs_in(tmp_path / "pairs.jsonl")) == 6


def test_user_errors(nbmf_command, error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [None])
    out = tmp_path / "pairs.jsonl"
    out.write_text("of before")
    message = error_of("data", "pairs", path, "-o", out, "--codec", "none")
    assert message.startswith("nbmf: too_few_records: no record became a pair. Left out 1 of 1 records")
    message = error_of("data", "pairs", path, "-o", out, "--codec", "abc", "--registry", tmp_path / "registry")
    assert message.startswith("nbmf: version_not_found:")
    assert nbmf_command("data", "pairs", path, "-o", out, "--codec", "stub").code == 2
    assert out.read_text() == "of before"
    assert nbmf_command("data", "pairs", path, "-o", path, "--codec", "none").code == 2
    assert path.read_text() == "null\n"
    assert {one.name for one in tmp_path.iterdir()} == {"a.jsonl", "pairs.jsonl"}
