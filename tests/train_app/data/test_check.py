"""`nbmf data check`."""

import json

import modalities
import synthetic

from nbmf import json_text


def test_what_is_told(nbmf_command, tmp_path):
    """Counts by class and kind, what is left out and why, duplicates and those that are nearly that."""
    records = synthetic.records(120, seed=31)
    lines = [{"domain": type(r).__name__, "type": "text", "data": r} for r in records]
    lines += lines[:4]
    lines += [{"domain": "str", "type": "text", "data": records[0] + " Nothing else."}]
    lines += [{"domain": "str", "type": "structured", "data": "{cut"}, {"domain": "str", "type": "text", "data": None}]
    path = synthetic.write_jsonl(tmp_path / "spec.jsonl", lines)
    with path.open("ab") as file:
        file.write(b"{cut\n")
    report_file = tmp_path / "report.json"
    result = nbmf_command("data", "check", path, "--json", report_file)
    assert result.code == 3, result.err
    out = result.out.decode()
    assert "126 records in the specification's format" in out
    assert "128 records: 121 to learn from (" in out
    assert ", 4 duplicates, 3 left out." in out
    assert "1 are nearly the same as one before them" in out
    assert f"  {path}:125: as {path}:1\n" in out
    assert "Left out 3 of 128 records:" in out
    assert f"  2 not_json: {path}:126 (`type` is structured, but `data` is no JSON text: " in out
    report = json.loads(report_file.read_text())
    assert report["rejected"] == {"not_json": 2, "null": 1}
    assert report["first_rejected"]["null"] == [f"{path}:127"]
    assert report["near_duplicates"]["records"] == 1
    assert {name: row["records"] for name, row in report["classes"].items()} == {"str": 41, "list": 40, "dict": 40}
    assert {name: row["kinds"] for name, row in report["kinds"].items()} == {
        "text": {"text": 41},
        "messages": {"messages": 40},
        "json": {"json": 40},
    }
    sizes = sorted(len(json_text.dumps(r).encode()) for r in records if type(r) is dict)
    (found,) = (row for name, row in report["classes"].items() if name == "dict")
    assert (found["bytes"], found["max_bytes"]) == (sum(sizes), sizes[-1])
    assert sizes[19] <= found["median_bytes"] <= sizes[20]
    assert report["is_enough"]


def test_records_with_binary_data(nbmf_command, tmp_path):
    """How many there are and how many bytes these are; nothing is left out for them."""
    made = modalities.records(20, seed=34)
    alone = [modalities.standard(octets) for _, octets in made[:2]]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*synthetic.records(9, seed=35), *(r for r, _ in made), *alone])
    result = nbmf_command("data", "check", path, "--json", tmp_path / "report.json")
    assert result.code == 0, result.err
    binary = json.loads((tmp_path / "report.json").read_text())["binary"]
    assert (binary["records"], binary["alone"]) == (22, 2)
    assert 22 * 2000 <= binary["bytes"] <= 22 * 2060
    assert (
        f"22 records with binary data, as base64, digits, floats or octets ({binary['bytes']:,} bytes): learnt from "
        "without it; 2 not at all, as nothing else is in them.\n"
    ) in result.out.decode()


def test_all_is_well(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", synthetic.records(30, seed=32))
    result = nbmf_command("data", "check", path)
    assert result.code == 0, result.err
    assert "Too few to learn anything: 100 are needed." in result.out.decode()
    assert "By class" not in result.out.decode()


def test_it_says_what_training_says(nbmf_command, tmp_path, train_config, ray_session):
    """The same counts as a run's, of the same sources."""
    from cluster.sources import open_source
    from train_app.samples.prepare import prepare

    records = synthetic.records(80, seed=33)
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*records, *records[:7], "", None, "x" * 30_000])
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(train_config.model_dump()))
    nbmf_command("data", "check", path, "--config", settings, "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    data = prepare([open_source(path)], train_config, lambda _: None).summary()
    assert {name: report[name] for name in ("records", "duplicates", "rejected")} == {
        name: data[name] for name in ("records", "duplicates", "rejected")
    }
    assert report["distinct"]["records"] == data["training_records"] + data["holdout_records"]
    assert report["distinct"]["bytes"] == data["training_bytes"] + data["holdout_bytes"]
    assert report["distinct"]["kinds"] == data["kinds"]


def test_user_errors(nbmf_command, error_of, tmp_path):
    assert error_of("data", "check", tmp_path / "no.jsonl").startswith("nbmf: records_error:")
    (tmp_path / "empty.jsonl").touch()
    result = nbmf_command("data", "check", tmp_path / "empty.jsonl")
    assert result.code == 1
    assert "nbmf: records_error: the sources hold no records at all\n" in result.err
    (tmp_path / "bad.yaml").write_text("min_records: many")
    assert "min_records" in error_of("data", "check", tmp_path, "--config", tmp_path / "bad.yaml")
