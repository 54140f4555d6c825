"""Which source a path is read as, and with which options."""

import dataclasses

import pytest
import synthetic

from cluster.errors import RecordsError
from cluster.sources import JsonLines, ParquetFiles, open_source


def test_nothing_and_unknown_things_are_refused(tmp_path):
    with pytest.raises(RecordsError, match="does not exist"):
        open_source(tmp_path / "no")
    with pytest.raises(RecordsError, match="no records known here"):
        open_source(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(RecordsError, match=r"\.jsonl, \.ndjson, \.json, \.parquet"):
        open_source(tmp_path / "a.csv")


def test_a_folder_of_both_is_refused(tmp_path, table):
    table(payload=["x"])
    synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    with pytest.raises(RecordsError, match="both JSON Lines and Parquet"):
        open_source(tmp_path)


def test_options_reach_the_source(tmp_path, table):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    given = {"payload_field": "p", "key_field": "k", "class_field": "c", "max_record_bytes": 5}
    found = dataclasses.asdict(open_source(path, **given))
    assert {name: found[name] for name in given} == given
    found = dataclasses.asdict(open_source(table(p=["x"], k=["y"], c=["z"]), parse_json=True, **given))
    assert {name: found[name] for name in (*given, "parse_json")} == {**given, "parse_json": True}
    assert ParquetFiles((path,)).max_record_bytes == JsonLines((path,)).max_record_bytes == 16 * 2**20
