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
from cluster.sources import BadRecord, Record, SourceChanged, open_source
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


def test_a_row_alone_is_not_told_of_the_damage_behind_it(tmp_path):
    """As of a row group of which a later page is damaged."""
    path = tmp_path / "a.parquet"
    rows = [f"{number:05}" * 400 for number in range(5000)]
    pq.write_table(pa.table({"payload": rows}), path, use_dictionary=False, compression="none", data_page_size=1)
    source = open_source(path)
    (shard,) = source.plan()
    content = bytearray(path.read_bytes())
    for at in range(content.index(rows[3000].encode()) - 400, content.index(rows[3001].encode())):
        content[at] = 0xFF
    path.write_bytes(content)
    whole = list(source.read(shard))
    assert [type(item) for item in whole] == [Record] * 2000 + [BadRecord]
    assert whole[-1].detail.startswith("3000 rows from here on")
    alone = [source.read(one) for number, (_, one) in enumerate(source.split(shard)) if number in (0, 1999, 2000, 4999)]
    (first,), (last_good,), (bad,), (last,) = map(list, alone)
    assert [first, last_good] == [whole[0], whole[1999]]
    assert [bad.place, last.place] == [f"{path}:0:2000", f"{path}:0:4999"]


@pytest.mark.parametrize("without_rowid", ["", "WITHOUT ROWID"])
def test_rows_around_damage_can_be_read_alone(tmp_path, without_rowid):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 1024")
        connection.execute(f"CREATE TABLE t(id INTEGER, payload, PRIMARY KEY(id)) {without_rowid}")
        connection.executemany("INSERT INTO t VALUES(?, ?)", [(n, f"row {n} " * 9) for n in range(300)])
        connection.commit()
    content = bytearray(path.read_bytes())
    at = content.index(b"row 150 ") // 1024 * 1024
    content[at : at + 1024] = b"\xff" * 1024
    path.write_bytes(content)
    source = open_source(path)
    for shard in source.plan():
        whole = list(source.read(shard))
        alone = [item for _, one in source.split(shard) for item in source.read(one)]
        assert [item for item in alone if isinstance(item, Record)] == [
            item for item in whole if isinstance(item, Record)
        ]
        assert len(alone) == len(whole)
        assert [i.reason for i in alone if isinstance(i, BadRecord)] == [
            i.reason for i in whole if isinstance(i, BadRecord)
        ]
