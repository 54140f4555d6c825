"""`nbmf bench presets`: what each preset makes of how many records."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import synthetic

from bench.presets import run as presets_bench
from bench.records import BenchRecord
from cluster.measure import BASELINES
from nbmf import json_text
from nbmf.codec import WITHOUT_VERSION
from nbmf.payload import to_canonical


def test_dictionaries_of_few_and_of_many_records(nbmf_command, tmp_path, monkeypatch):
    from bench.presets import cli as presets_cli

    monkeypatch.setattr(presets_cli, "PRESETS", ("none",))
    texts = [json_text.dumps(r) if type(r) is not str else r for r in synthetic.records(900, seed=31)]
    sets = ["many"] * 800 + ["few"] * 60 + ["other"] * 40
    pq.write_table(pa.table({"data": texts, "set": sets}), tmp_path / "data.parquet")
    result = nbmf_command(
        *("bench", "presets", "--data", tmp_path / "data.parquet", "--payload-field", "data", "--set-field", "set"),
        *("--only", "many", "--only", "few", "--size", 20, "--size", 600, "--unseen", 30),
        *("--json", tmp_path / "out.json"),
    )
    assert result.code == 0, result.err
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["set"], row["records"]) for row in rows] == [("few", 20), ("many", 20), ("many", 600)]
    few, many = rows[1]["ratios"], rows[2]["ratios"]
    assert few.keys() == many.keys() == {*BASELINES, "built-in", "none"}
    assert few["none"] == few["built-in"] == many["built-in"]  # too little for a dictionary, and no version in tests
    assert many["none"] > 1.5 * many["built-in"]
    assert "many" in result.out.decode()


def test_the_ratio_is_that_of_records_that_were_not_learnt_from(train_config):
    """The same shuffled records are tried for every size."""
    records = [BenchRecord("all", *to_canonical(record)) for record in synthetic.records(120, seed=32)]
    rows = presets_bench.run(records, [30, 60], 40, (), train_config, None, lambda _step: None)
    assert [row["ratios"] for row in rows[1:]] == [rows[0]["ratios"]]
    everything = sum(len(record.canonical) for record in records)
    assert rows[0]["bytes"] < rows[1]["bytes"] < everything
    blobs = sum(len(WITHOUT_VERSION.encode_canonical(record.kind, record.canonical)) for record in records)
    assert 0.7 < rows[0]["ratios"]["built-in"] / (everything / blobs) < 1.3


def test_too_few_records(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", synthetic.records(40, seed=33))
    message = error_of("bench", "presets", "--data", path, "--size", 30, "--unseen", 20)
    assert message.startswith("nbmf: nothing_to_measure: no set has 30 records to learn from and 20 others to try")
