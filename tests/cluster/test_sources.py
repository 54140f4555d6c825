"""Sources: every record found with its key and class, every bad one with its reason, nothing raised for content."""

import base64
import dataclasses
import json
import os
import random
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from cluster.errors import RecordsError
from cluster.sources import BadRecord, JsonLines, LegacyStore, ParquetFiles, Record, jsonl, legacy, open_source
from cluster.sources.legacy import record_file_name
from nbmf import stub
from nbmf.payload import to_canonical


def read(source):
    return [item for shard in source.plan() for item in source.read(shard)]


def good(items):
    assert [i for i in items if not isinstance(i, Record)] == []
    return items


def reasons(items):
    return [i.reason if isinstance(i, BadRecord) else None for i in items]


# --- JSON Lines ---------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path):
    """A function: the items of a .jsonl file with the given bytes."""

    def items(content, **options):
        path = tmp_path / "memory.jsonl"
        path.write_bytes(content)
        return read(open_source(path, **options))

    return items


def test_each_line_is_a_payload_and_its_key_the_line(lines, tmp_path):
    found = good(lines(b'"text"\n{"a": [1, 2.5]}\nnull\n'))
    assert [r.payload for r in found] == ["text", {"a": [1, 2.5]}, None]
    assert [r.key for r in found] == ["memory.jsonl:1", "memory.jsonl:2", "memory.jsonl:3"]
    assert [r.place for r in found] == [f"{tmp_path}/memory.jsonl:{n}" for n in (1, 2, 3)]
    assert [(r.record_class, r.meta, r.preview) for r in found] == [("", {}, False)] * 3
    assert [r.source_bytes for r in found] == [7, 16, 5]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends(lines, end, last):
    found = good(lines(b'"a"' + end + b'"b\\r"' + end + b'"c"' + (end if last else b"")))
    assert [(r.key[-1], r.payload) for r in found] == [("1", "a"), ("2", "b\r"), ("3", "c")]


def test_a_byte_order_mark_is_no_content(lines):
    assert [r.payload for r in good(lines(b'\xef\xbb\xbf{"a": 1}\n"\xef\xbb\xbfb"\n'))] == [{"a": 1}, "\ufeffb"]


def test_empty_lines_are_counted_but_no_records(lines):
    found = good(lines(b'\n"a"\n  \n\r\n\t\n"b"\n\n'))
    assert [(r.key, r.payload) for r in found] == [("memory.jsonl:2", "a"), ("memory.jsonl:6", "b")]


@pytest.mark.parametrize("content", [b"", b"\n\n", b" "])
def test_files_without_records(lines, content):
    assert lines(content) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b"nothing", "not_json"),
        (b'{"a": 1} x', "not_json"),
        (b'"tab\there"', "not_json"),
        (b"\x00", "not_json"),
        (b"[" * 50_000, "not_json"),
        (b"9" * 100_002, "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        (b'"' + b"x" * 200_000 + b'"', "too_large"),
        (b" " * 200_000 + b"1", "too_large"),
    ],
    ids=lambda v: repr(v[:12]) if isinstance(v, bytes) else v,
)
def test_bad_lines_do_not_hide_their_neighbours(lines, line, reason):
    found = lines(b'"before"\n' + line + b'\n"after"\n', max_record_bytes=150_000)
    assert reasons(found) == [None, reason, None]
    assert [found[0].payload, found[2].payload] == ["before", "after"]
    assert found[2].key == "memory.jsonl:3"
    assert found[1].key == "memory.jsonl:2"
    assert found[1].place.endswith("memory.jsonl:2")
    assert found[1].detail
    assert found[1].source_bytes == len(line) + 1


def test_fields(lines):
    content = b'{"id": 7, "kind": "note", "text": "hi", "lang": "en"}\n{"text": [1]}\n'
    found = good(lines(content, payload_field="text", key_field="id", class_field="kind"))
    assert [(r.key, r.record_class, r.payload, r.meta) for r in found] == [
        ("7", "note", "hi", {"lang": "en"}),
        ("memory.jsonl:2", "", [1], {}),
    ]


def test_null_fields_are_no_fields(lines):
    content = b'{"id": null, "kind": null, "text": null}\n{"id": 0, "kind": false, "text": ""}\n'
    found = good(lines(content, payload_field="text", key_field="id", class_field="kind"))
    assert [(r.key, r.record_class, r.payload) for r in found] == [("memory.jsonl:1", "", None), ("0", "False", "")]


@pytest.mark.parametrize("line", [b'{"texts": 1}', b'["text"]', b'"text"', b"null"])
def test_lines_without_the_payload_field(lines, line):
    (found,) = lines(line, payload_field="text")
    assert found.reason == "no_payload"
    assert "'text'" in found.detail


def test_stub_blobs_in_lines(lines):
    whole, preview = stub.encode({"a": [1, 2]}, "lossless"), stub.encode("some text", "semantic")
    damaged = whole | {"code": whole["code"][:-4]}
    found = lines(b"".join(json.dumps(b).encode() + b"\n" for b in (whole, preview, damaged)))
    assert reasons(found) == [None, None, "damaged_stub_blob"]
    assert (found[0].payload, found[0].preview) == ({"a": [1, 2]}, False)
    assert (found[1].payload, found[1].preview) == (preview, True)


@pytest.mark.parametrize("cut", ["lines", "bytes"])
@pytest.mark.parametrize("seed", range(3))
def test_shards_cover_every_line_once_with_its_number(tmp_path, monkeypatch, cut, seed):
    if cut == "lines":
        monkeypatch.setattr(jsonl, "_SHARD_LINES", 7)
    else:
        monkeypatch.setattr(jsonl, "_SHARD_BYTES", 60)
    rng = random.Random(seed)
    written = [
        rng.choice([b"", b"  ", b'"%d"' % number, b'"%s"' % (b"x" * rng.randrange(90))]) for number in range(200)
    ]
    ends = [rng.choice([b"\n", b"\r\n"]) for _ in written]
    content = b"".join(line + end for line, end in zip(written, ends, strict=True))
    path = tmp_path / "cut.jsonl"
    path.write_bytes(content)
    source = JsonLines((path,))
    shards = source.plan()
    assert len(shards) > 5
    assert [s.span[0] for s in shards] == [0, *(s.span[1] for s in shards[:-1])]
    assert shards[-1].span[1] == len(content)
    found = [(int(r.key.partition(":")[2]), r.payload) for shard in shards for r in good(list(source.read(shard)))]
    assert found == [(n, json.loads(line)) for n, line in enumerate(written, start=1) if line.strip()]


def test_plans_are_the_same_every_time(tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(30))
    assert JsonLines((path,)).plan() == JsonLines((path,)).plan()


def test_a_line_of_any_length_takes_bounded_memory(tmp_path):
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(b'"')
        for _ in range(48):
            file.write(b"x" * 2**20)
        file.write(b'"\n"after"\n')
    source = JsonLines((path,), max_record_bytes=1000)
    tracemalloc.start()
    try:
        found = read(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reasons(found) == ["too_large", None]
    assert found[0].source_bytes == 48 * 2**20 + 3
    assert found[1].payload == "after"
    assert peak < 6 * 2**20


def test_several_files_keep_their_names(tmp_path):
    synthetic.write_jsonl(tmp_path / "b.ndjson", ["b"])
    synthetic.write_jsonl(tmp_path / "a.jsonl", ["a"])
    (tmp_path / "notes.txt").write_text("no records")
    assert [(r.key, r.payload) for r in good(read(open_source(tmp_path)))] == [("a.jsonl:1", "a"), ("b.ndjson:1", "b")]


def test_a_file_that_went_away(tmp_path):
    with pytest.raises(RecordsError, match=r"gone\.jsonl"):
        JsonLines((tmp_path / "gone.jsonl",)).plan()


# --- Parquet ------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    """A function: writes columns to a .parquet file, returns its path."""

    def write(name="memory.parquet", row_group_size=3, **columns):
        path = tmp_path / name
        pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
        return path

    return write


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


@pytest.mark.parametrize(
    ("columns", "field"), [({"a": ["x"], "b": ["y"]}, None), ({"a": [1]}, None), ({"a": ["x"]}, "b")]
)
def test_an_unclear_payload_column_is_asked_for(table, columns, field):
    with pytest.raises(RecordsError, match="--payload-field; the file has a"):
        open_source(table(**columns), payload_field=field).plan()


@pytest.mark.parametrize("option", ["key_field", "class_field"])
def test_a_column_that_is_not_there_is_named(table, option):
    with pytest.raises(RecordsError, match="no column 'idd'; the file has payload, id"):
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


# --- legacy stores ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    """A function: puts a file into a legacy store, and one to read it."""
    folder = tmp_path / "old" / "records"
    folder.mkdir(parents=True)

    class Store:
        root = tmp_path / "old"

        def put(self, name, content):
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name).write_bytes(data)
            return folder / name

        def read(self, **options):
            source = open_source(self.root, **options)
            assert isinstance(source, LegacyStore)
            return read(source)

    return Store()


@pytest.mark.parametrize(
    ("key", "record_class"),
    [
        ("a", "note"),
        ("agent__7", "note"),
        ("a", "user__note"),
        ("a__b", "c__d"),
        ("__", "note"),
        ("a", ""),
        ("dots.in.key", "v1.2"),
        ("ключ 鍵", "класс"),
        ("a__", "__b"),
        ("with space", "x y"),
    ],
)
def test_names_with_the_separator(store, key, record_class):
    name = record_file_name(key, record_class)
    store.put(name, {"payload": "p", "meta": {"m": 1}, "cls": record_class})
    (found,) = good(store.read())
    assert (found.key, found.record_class) == (key, record_class)
    assert (found.payload, found.meta) == ("p", {"m": 1})
    assert found.source_bytes == (store.root / "records" / name).stat().st_size


def test_slashes_are_written_as_underscores(store):
    name = record_file_name("agent/7/x", "user/note")
    assert name == "agent_7_x__user_note.json"
    store.put(name, {"payload": 1, "cls": "user/note"})
    (found,) = good(store.read())
    assert (found.key, found.record_class, found.meta) == ("agent_7_x", "user/note", None)


def test_a_class_that_only_the_name_tells(store):
    store.put("a__b__note.json", {"payload": 1})
    (found,) = good(store.read())
    assert (found.key, found.record_class) == ("a__b", "note")


def test_a_class_that_differs_from_the_name(store):
    store.put("a__b.json", {"payload": 1, "cls": "other"})
    (found,) = good(store.read())
    assert (found.key, found.record_class) == ("a", "other")


BROKEN = [
    ("k__c.json", b'{"payload": "cut o', "not_json"),
    ("k__c.json", b"", "not_json"),
    ("k__c.json", b"\x1f\x8b\x08\x00\xff", "not_utf8"),
    ("k__c.json", bytes(range(256)), "not_utf8"),
    ("k__c.json", {"__encrypted__": {"alg": "AESGCM", "nonce": "AA==", "ciphertext": "AA=="}}, "encrypted"),
    ("k__c.json", {"meta": {}, "cls": "c"}, "no_payload"),
    ("k__c.json", ["payload"], "no_payload"),
    ("k__c.json", b'"payload"', "no_payload"),
    ("k__c.json", b"null", "no_payload"),
    ("k__c.json", {"payload": 1, "cls": 3}, "bad_class"),
    ("k__c.json", {"payload": 1, "cls": None}, "bad_class"),
    ("k__c.json", {"payload": "x" * 5000, "cls": "c"}, "too_large"),
    ("nokey.json", {"payload": 1}, "bad_name"),
    ("__c.json", {"payload": 1}, "bad_name"),
    ("k__c.json", {"payload": stub.encode("x", "lossless") | {"code": "00"}, "cls": "c"}, "damaged_stub_blob"),
    ("k__c.json", {"payload": stub.encode("x", "lossless") | {"code": "hex"}, "cls": "c"}, "damaged_stub_blob"),
    ("k__c.json", {"payload": stub.encode("x", "semantic") | {"code": "hex"}, "cls": "c"}, None),
]


@pytest.mark.parametrize(("name", "content", "reason"), BROKEN)
def test_files_that_hold_no_record(store, name, content, reason):
    store.put("a__c.json", {"payload": "before", "cls": "c"})
    path = store.put(name, content)
    store.put("z__c.json", {"payload": "after", "cls": "c"})
    found = store.read(max_record_bytes=4000)
    bad = {i.place: i for i in found if isinstance(i, BadRecord)}
    assert sorted(i.payload for i in found if isinstance(i, Record) and i.key in "az") == ["after", "before"]
    assert [i.reason for i in bad.values()] == ([reason] if reason else [])
    if reason:
        assert list(bad) == [str(path)]
        assert bad[str(path)].detail


def test_what_cannot_be_opened(store):
    (store.root / "records" / "folder__c.json").mkdir()
    (store.root / "records" / "link__c.json").symlink_to(store.root / "nowhere")
    found = store.read()
    assert reasons(found) == ["unreadable", "unreadable"]
    assert [os.path.basename(i.place) for i in found] == ["folder__c.json", "link__c.json"]  # noqa: PTH119


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(store):
    store.put("k__c.json", {"payload": 1}).chmod(0)
    assert reasons(store.read()) == ["unreadable"]


def test_stub_blobs(store):
    whole, preview = stub.encode(["a", {"b": 2.5}], "lossless"), stub.encode("only the beginning", "semantic")
    store.put("1__c.json", {"payload": whole, "cls": "c"})
    store.put("2__c.json", {"payload": preview, "cls": "c"})
    new = {**whole, "meta": {**whole["meta"], "encoder_version": "nbmf-1"}}
    store.put("3__c.json", {"payload": new, "cls": "c"})
    found = good(store.read())
    assert [(r.payload, r.preview) for r in found] == [(["a", {"b": 2.5}], False), (preview, True), (new, False)]


def test_a_stub_blob_that_inflates_without_end_is_bounded(store, monkeypatch):
    import zlib

    bomb = zlib.compress(b'"' + b"x" * (70 * 2**20) + b'"', 1).hex()
    store.put("k__c.json", {"payload": stub.encode("x", "lossless") | {"code": bomb}, "cls": "c"})
    (found,) = store.read()
    assert found.reason == "damaged_stub_blob"
    assert "max_output_bytes" in found.detail


def test_other_files_are_not_records(store):
    store.put("notes.txt", b"x")
    store.put("k__c.json.bak", b"x")
    (store.root / "a_1.json").write_text("{}")
    assert store.read() == []


def test_names_are_sharded_in_order(store, monkeypatch):
    monkeypatch.setattr(legacy, "_SHARD_FILES", 3)
    for number in random.Random(0).sample(range(10), 10):
        store.put(record_file_name(f"k{number}", "c"), {"payload": number, "cls": "c"})
    source = open_source(store.root)
    assert [len(s.span) for s in source.plan()] == [3, 3, 3, 1]
    assert [r.payload for r in good(read(source))] == list(range(10))


def test_payloads_are_read_exactly(store):
    payload = {"n": 10**30, "z": -0.0, "s": "\ud800", "deep": synthetic.nested(1000), "nan": float("nan")}
    text = b'{"payload": ' + to_canonical(payload | {"s": 0})[1] + b', "cls": "c"}'
    store.put("k__c.json", text.replace(b'"s":0', b'"s":"\\ud800"'))
    (found,) = good(store.read())
    assert to_canonical(found.payload) == to_canonical(payload)


def test_an_unreadable_store(tmp_path):
    with pytest.raises(RecordsError, match="records"):
        LegacyStore(tmp_path / "gone").plan()


# --- which source -------------------------------------------------------------------------------------------------


def test_nothing_and_unknown_things_are_refused(tmp_path):
    with pytest.raises(RecordsError, match="does not exist"):
        open_source(tmp_path / "no")
    with pytest.raises(RecordsError, match="no records known here"):
        open_source(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(RecordsError, match=r"\.jsonl, \.ndjson, \.parquet"):
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


def test_base64_in_encrypted_records_is_never_looked_at(store):
    store.put("k__c.json", {"__encrypted__": base64.b64encode(b"x").decode(), "payload": 1})
    assert reasons(store.read()) == ["encrypted"]
