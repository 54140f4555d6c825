"""JSON Lines: every record found with key and class, every bad one with its reason, nothing raised for content."""

import json
import random
import tracemalloc

import pytest
import synthetic
from items import good, read, reasons

from cluster.errors import RecordsError
from cluster.sources import JsonLines, jsonl, open_source
from nbmf import stub


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
    found = lines(line + b'\n{"text": 1}\n', payload_field="text")
    assert reasons(found) == ["no_payload", None]
    assert "'text'" in found[0].detail


@pytest.mark.parametrize("option", ["payload_field", "key_field", "class_field"])
def test_a_field_that_no_line_has_is_refused(tmp_path, option):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('not json\n{"id": 1, "text": "x"}\n[1]\n{"id": 2, "lang": "en"}\n')
    source = open_source(tmp_path, **{option: "txet"})
    with pytest.raises(RecordsError, match=r"_\d: no record has a field 'txet'; there are id, text, lang$"):
        source.plan()
    with (tmp_path / "b.jsonl").open("a") as file:
        file.write('{"txet": "y"}\n')
    assert len(open_source(tmp_path, **{option: "txet"}).plan()) == 2


def test_lines_are_payloads_whole_whatever_fields_they_have(lines):
    """Also where one is called payload; keys and classes are taken from them where they are named."""
    content = b'{"id": 7, "payload": "hi", "kind": "note"}\n[1]\n'
    for options, first in (({}, ("memory.jsonl:1", "")), ({"key_field": "id", "class_field": "kind"}, ("7", "note"))):
        found = good(lines(content, **options))
        assert [r.payload for r in found] == [{"id": 7, "payload": "hi", "kind": "note"}, [1]]
        assert [(r.key, r.record_class, r.meta) for r in found] == [(*first, {}), ("memory.jsonl:2", "", {})]


def test_whole_rows_are_objects_without_key_and_class(lines):
    content = b'{"id": 7, "prompt": "p", "kind": "note", "score": 1.5}\n[1]\n'
    found = good(lines(content, payload="row", key_field="id", class_field="kind"))
    assert [r.payload for r in found] == [{"prompt": "p", "score": 1.5}, [1]]
    assert (found[0].key, found[0].record_class, found[0].meta) == ("7", "note", {})


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


def test_a_field_that_is_key_and_class(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"k": "x", "p": 1, "m": 2}\n')
    source = open_source(tmp_path / "a.jsonl", payload_field="p", key_field="k", class_field="k")
    (found,) = good(read(source))
    assert (found.key, found.record_class, found.payload, found.meta) == ("x", "x", 1, {"m": 2})
