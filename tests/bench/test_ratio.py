"""`nbmf bench ratio`: a table and JSON for people and programs, sizes that are those of whole blobs."""

import json

import synthetic

from nbmf import Codec, builtin


def test_the_command(nbmf_command, tmp_path):
    records = [
        {"set": f"s{i % 2}", "payload": {"id": i, "text": "a record of the test " * (1 + i % 3)}} for i in range(60)
    ]
    data = synthetic.write_jsonl(tmp_path / "data.jsonl", records[:20])
    train = synthetic.write_jsonl(tmp_path / "train.jsonl", records[20:] * 30)
    fields = ("--payload-field", "payload", "--set-field", "set", "--apart", "s1", "--codec", "none")
    result = nbmf_command("bench", "ratio", "--data", data, "--train", train, *fields, "--json", tmp_path / "out.json")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "out.json").read_text())
    assert set(report["sets"]) == {"s0", "s1", "all sets"}
    assert report["sets"]["all sets"] == report["sets"]["s0"]
    codecs = {"zlib-9", "zstd-19", "brotli-11", "xz-9e", "zstd-19+dict", "PPMd-6 primed", "nbmf max", "nbmf fast"}
    assert set(report["sets"]["s0"]) == codecs
    ours = report["sets"]["s0"]["nbmf max"]
    assert ours["coded_bytes"] == sum(len(Codec().encode(r["payload"])) for r in records[:20:2])
    assert report["efforts"] == ["max", "fast"]
    assert [sum(coders.values()) for coders in report["coders"].values()] == [20, 20]
    assert b"raw bytes / coded bytes" in result.out


def test_a_latency_budget_is_that_of_auto(nbmf_command, tmp_path):
    version = builtin.load(builtin.FOLDER / (builtin.FOLDER / "DEFAULT").read_text().strip())
    texts = [" ".join(f"{word} {word * n % 97}" for word in range(400)) for n in range(2, 5)]
    data = synthetic.write_jsonl(tmp_path / "data.jsonl", [{"payload": text} for text in texts])
    sizes = {}
    for budget in (5, 5000):
        options = ("--codec", "builtin", "--effort", "auto", "--latency-budget-ms", budget, "--json", tmp_path / "out")
        result = nbmf_command("bench", "ratio", "--data", data, "--payload-field", "payload", *options)
        assert result.code == 0, result.err
        report = json.loads((tmp_path / "out").read_text())
        assert report["latency_budget_ms"] == budget
        sizes[budget] = report["sets"]["all sets"]["nbmf auto"]["coded_bytes"]
        assert sizes[budget] == sum(len(version.encode(text, latency_budget_ms=budget)) for text in texts)
    assert sizes[5000] < sizes[5]
    wrong = nbmf_command("bench", "ratio", "--data", data, "--latency-budget-ms", 5)
    assert wrong.code == 2
    assert "--latency-budget-ms" in wrong.err
