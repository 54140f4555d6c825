"""Shards of one record each: the same records, by the places they have anyway."""

import json
import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from items import read

import nbmf
from cluster.sources import SourceChanged, open_source
from nbmf.stub import signature


def jsonl(folder):
    path = folder / "a.jsonl"
    path.write_bytes(b'"one"\n\n{\n"three"')
    return path


def parquet(folder):
    pq.write_table(pa.table({"payload": list("abcde")}), folder / "a.parquet", row_group_size=2)
    return folder / "a.parquet"


def dataset(folder):
    blobs = [nbmf.encode(text) for text in "ab"]
    fields = {"key": ["a", "b", "c"], "class": [""] * 3, "meta": ["1"] * 3, "preview": [False] * 3}
    pq.write_table(pa.table({**fields, "blob": [*blobs, b"x"]}), folder / "part-0.parquet", row_group_size=2)
    return folder


def sqlite(folder, without_rowid=""):
    with closing(sqlite3.connect(folder / "a.db")) as connection:
        connection.execute(f"CREATE TABLE t(id PRIMARY KEY, payload) {without_rowid}")
        connection.execute("INSERT INTO t VALUES(1, 'a'), ('x', CAST(x'ff' AS TEXT)), (x'00', 'c')")
        connection.commit()
    return folder / "a.db"


def sqlite_by_key(folder):
    return sqlite(folder, "WITHOUT ROWID")


def legacy(folder):
    (folder / "records").mkdir()
    for name in ("a__n", "b__n"):
        (folder / "records" / f"{name}.json").write_text('{"payload": 1}')
    (folder / "a_1.json").write_text("{}")
    (folder / signature("x")).write_text(json.dumps("x"))
    return folder


@pytest.mark.parametrize("fill", [jsonl, parquet, dataset, sqlite, sqlite_by_key, legacy])
def test_a_shard_for_each_record(tmp_path, fill):
    source = open_source(fill(tmp_path))
    whole = read(source)
    assert list(source.iter_shards()) == source.plan()
    alone = [one for shard in source.plan() for one in source.split(shard)]
    found = [(place, list(source.read(shard))) for place, shard in alone]
    assert [item for _, items in found for item in items] == whole
    assert all(item.place == place for place, items in found for item in items)
    assert max(len(items) for _, items in found) == 1
    assert [next(source.split(shard))[0] for _, shard in alone] == [place for place, _ in alone]


@pytest.mark.parametrize("fill", [jsonl, parquet, dataset, sqlite])
def test_a_file_that_is_gone(tmp_path, fill):
    path = fill(tmp_path)
    source = open_source(path)
    shard = source.plan()[0]
    for file in synthetic.snapshot(tmp_path):
        (tmp_path / file).unlink()
    with pytest.raises(SourceChanged):
        list(source.split(shard))
