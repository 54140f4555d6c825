"""Parquet files: every row found with key and class, every bad one with its reason, nothing raised for content."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from items import good, read, reasons

from cluster.errors import RecordsError
from cluster.sources import Record, open_source
from nbmf import stub


def test_rows_of_all_row_groups(table):
    texts = [f"text {number}" for number in range(8)]
    source = open_source(table(payload=texts))
    assert len(source.plan()) == 3
    found = good(read(source))
    assert [r.payload for r in found] == texts
    assert [r.key for r in found[:4]] == [f"memory.parquet:{k}" for k in ("0:0", "0:1", "0:2", "1:0")]
    assert len({r.key for r in found}) == 8
    assert found[0].source_bytes == 6


def test_the_payload_column(table):
    assert [r.payload for r in good(read(open_source(table(n=[1], said=["hi"]))))] == ["hi"]
    assert [r.payload for r in good(read(open_source(table(payload=["p"], other=["o"]))))] == ["p"]
    both = table(payload=["p"], other=["o"])
    assert [r.payload for r in good(read(open_source(both, payload_field="other")))] == ["o"]
    assert [r.payload for r in good(read(open_source(table(raw=[b"\x00\xff"]))))] == [b"\x00\xff"]


@pytest.mark.parametrize("option", ["key_field", "class_field"])
def test_a_column_that_is_not_there_is_named(table, option):
    with pytest.raises(RecordsError, match="no column 'idd'; the file has payload: string, id: string"):
        open_source(table(payload=["x"], id=["k"]), **{option: "idd"}).plan()


def test_key_and_class_columns(table):
    path = table(payload=["a", "b", "c"], id=pa.array([0, 5, None], pa.int64()), kind=["note", None, ""])
    found = good(read(open_source(path, key_field="id", class_field="kind")))
    assert [r.key for r in found] == ["0", "5", "memory.parquet:0:2"]
    assert [r.record_class for r in found] == ["note", "", ""]


def test_parse_json_takes_objects_and_arrays_only(table):
    texts = ['{"a": 1}', "[1, 2]", "[not json]", "3", '"quoted"', "null", "", " {}", "[" * 20_000]
    path = table(payload=texts)
    assert [r.payload for r in good(read(open_source(path)))] == texts
    parsed = [r.payload for r in good(read(open_source(path, parse_json=True)))]
    assert parsed == [{"a": 1}, [1, 2], *texts[2:]]


def test_large_rows(table):
    found = read(open_source(table(payload=["short", "x" * 101, "é" * 51]), max_record_bytes=100))
    assert reasons(found) == [None, "too_large", "too_large"]
    assert found[2].source_bytes == 102


def test_structs_are_json_and_stub_blobs_are_decoded(table):
    blob = stub.encode("remember", "lossless")
    assert [r.payload for r in good(read(open_source(table(payload=[blob]))))] == ["remember"]
    damaged = blob | {"code": "zz"}
    assert reasons(read(open_source(table(payload=[damaged])))) == ["damaged_stub_blob"]


def test_text_that_is_not_utf8_is_one_bad_row(table):
    raw = pa.array([b"fine", b"\xff\xfe", b"too"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    found = read(open_source(table(payload=text)))
    assert reasons(found) == [None, "not_utf8", None]
    assert found[2].payload == "too"
    assert found[1].place.endswith("memory.parquet:0:1")


def test_a_damaged_page_ends_its_row_group_only(table):
    path = table(payload=[random.Random(n).randbytes(3000).hex() for n in range(9)])
    whole = read(open_source(path))
    source = open_source(path)
    shards = source.plan()
    at = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[at : at + 60] = bytes(60)
    path.write_bytes(content)
    found = [list(source.read(shard)) for shard in shards]
    assert found[0] == whole[:3]
    assert found[2] == whole[6:]
    assert reasons(found[1])[-1] == "damaged_file"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + bytes(100) + b"PAR1"])
def test_files_that_are_not_parquet(tmp_path, content):
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    with pytest.raises(RecordsError, match=str(path)):
        open_source(path).plan()


def test_a_file_cut_off_after_planning_gives_bad_records(table):
    path = table(payload=["a", "b"])
    source = open_source(path)
    shards = source.plan()
    path.write_bytes(path.read_bytes()[:40])
    assert reasons([i for s in shards for i in source.read(s)]) == ["damaged_file"]


@pytest.mark.parametrize("option", [{}, {"payload_field": "payload"}, {"key_field": "id"}])
def test_a_column_that_is_there_twice_is_not_chosen_from(tmp_path, option):
    name = option.get("key_field", "payload")
    names = ["payload", "other", "id", name]
    pq.write_table(pa.table([pa.array([text]) for text in "abcd"], names=names), tmp_path / "a.parquet")
    with pytest.raises(RecordsError, match=f"column '{name}' is there 2 times"):
        open_source(tmp_path / "a.parquet", **option).plan()


def test_keys_and_classes_of_bytes(table):
    """As SQLite's are: in hex."""
    (found,) = good(read(open_source(table(payload=["a"], id=[b"\xff"], of=[b"a"]), key_field="id", class_field="of")))
    assert (found.key, found.record_class) == ("ff", "61")


def test_times_too_far_away_for_their_type_are_bad_rows(tmp_path):
    """INT96, as Spark wrote it: Arrow makes nanoseconds of it, and of the year 9999 silently 1816."""
    seconds = [1_738_307_100, 253_402_214_400, None, -62_135_596_800, 0]
    times = pa.array([s and s * 10**6 for s in seconds], pa.int64()).view(pa.timestamp("us"))
    columns = {"at": times, "turns": pa.ListArray.from_arrays([0, 1, 2, 3, 4, 5], times)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", use_deprecated_int96_timestamps=True, row_group_size=4)
    first, last = "2025-01-31T07:05:00.000000000", "1970-01-01T00:00:00.000000000"
    for options, payloads in (
        ({"payload_field": "at"}, [first, None, last]),
        ({"payload_field": "turns"}, [[first], [None], [last]]),
        ({"payload": "row"}, [{"at": at, "turns": [at]} for at in (first, None, last)]),
    ):
        found = read(open_source(tmp_path / "a.parquet", **options))
        assert reasons(found) == [None, "damaged_row", None, "damaged_row", None]
        assert [item.payload for item in found if isinstance(item, Record)] == payloads
