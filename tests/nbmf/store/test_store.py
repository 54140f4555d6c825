"""Stores of blobs: Parquet parts read in name order, row by row."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import record, same

import nbmf
from nbmf import store, stub
from nbmf.errors import ChecksumMismatch
from nbmf.payload import to_canonical


def _row(key, value, *, preview=False, codec=None):
    blob = nbmf.encode(value, codec=codec)
    return {
        "key": key,
        "class": "note",
        "meta": json.dumps({"from": key, "n": [1, 2.5, None]}),
        "blob": blob,
        "preview": preview,
        "encrypted": False,
        "source_bytes": 10,
        "payload_bytes": len(to_canonical(value)[1]),
    }


def test_records_come_in_order_with_everything_they_had(tmp_path, codec, fresh_default_catalog):
    values = [record(random.Random(i)) for i in range(250)]
    rows = [_row(f"k{i}", value, codec=codec) for i, value in enumerate(values)]
    pq.write_table(pa.Table.from_pylist(rows[100:], store.schema()), tmp_path / "part-00001.parquet", row_group_size=40)
    pq.write_table(pa.Table.from_pylist(rows[:100], store.schema()), tmp_path / "part-00000.parquet")
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "dead-00000.parquet").write_text("not a part")
    read = list(store.iterate(str(tmp_path)))
    assert [r.key for r in read] == [f"k{i}" for i in range(250)]
    for i, (row, value) in enumerate(zip(read, values, strict=True)):
        assert (row.record_class, row.preview) == ("note", False)
        assert same(row.meta, {"from": f"k{i}", "n": [1, 2.5, None]})
        assert same(row.payload(codec), value)


def test_a_preview_keeps_the_stubs_dict(tmp_path):
    held = stub.encode("some text")
    pq.write_table(pa.Table.from_pylist([_row("k", held, preview=True)], store.schema()), tmp_path / "part-0.parquet")
    (read,) = store.iterate(tmp_path)
    assert read.preview
    assert same(read.payload(), held)


def test_a_damaged_blob_is_typed_when_it_is_decoded(tmp_path):
    row = _row("k", "text")
    row["blob"] = row["blob"][:-1] + bytes([row["blob"][-1] ^ 1])
    pq.write_table(pa.Table.from_pylist([row], store.schema()), tmp_path / "part-0.parquet")
    (read,) = store.iterate(tmp_path)
    with pytest.raises(ChecksumMismatch):
        read.payload()


def test_no_column_may_be_null():
    assert [f.name for f in store.schema() if f.nullable] == []


def test_a_data_set_without_records(tmp_path):
    store.build_index(tmp_path)
    assert list(store.iterate(tmp_path)) == []
