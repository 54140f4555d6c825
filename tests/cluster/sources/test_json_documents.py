"""JSON documents: a record an item of an array, one that is the whole document, or lines under that name."""

import json
import random
import tracemalloc

import pytest
import synthetic
from items import good, read, reasons
from packed import FORMATS

from cluster.sources import json_values, jsonl, open_source


@pytest.fixture
def document(tmp_path):
    """A function: the items of a .json file with the given bytes."""

    def items(content, name="memory.json", **options):
        (tmp_path / name).write_bytes(content)
        return read(open_source(tmp_path / name, **options))

    return items


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_each_item_of_an_array_is_a_record(document, indent, mark):
    records = synthetic.records(40, seed=5)
    text = json.dumps(records, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    found = good(document(mark + text + b"\n \n"))
    assert [item.payload for item in found] == records
    assert [item.key for item in found] == [f"memory.json:{n}" for n in range(1, 41)]


@pytest.mark.parametrize("content", [b'{"a": [1, 2]}', b'{\n "a": [\n  1,\n  2\n ]\n}\n', b'\n\n{"a":\n[1, 2]}'])
def test_an_object_is_a_record(document, content):
    (found,) = good(document(content))
    assert found.payload == {"a": [1, 2]}


def test_fields_of_items(document):
    content = b'[{"id": "x", "text": "one", "n": 1}, {"text": "two"}]'
    found = good(document(content, payload_field="text", key_field="id"))
    assert [(item.key, item.payload, item.meta) for item in found] == [
        ("x", "one", {"n": 1}),
        ("memory.json:2", "two", {}),
    ]


@pytest.mark.parametrize("content", [b"", b" \n", b"[]", b" [ ]\n"])
def test_documents_without_records(document, content):
    assert document(content) == []


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": 2}\n', b'{"a": 1} {"a": 2}', b'{\n"a": 1}\n\n{"a":\n2}'])
def test_values_one_behind_the_other(document, content):
    """Tools write JSON Lines under this name."""
    assert [item.payload for item in good(document(content))] == [{"a": 1}, {"a": 2}]


def test_lines_under_this_name_are_lines(document):
    found = document(b'[1, 2]\n{"cut off": \n\n[3]\n')
    assert reasons(found) == [None, "not_json", None]
    assert [(item.key, item.payload) for item in (found[0], found[2])] == [
        ("memory.json:1", [1, 2]),
        ("memory.json:4", [3]),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[1, {"a": nothing}, 3]', [None, "not_json", None]),
        (b"[1, , 3]", [None, "not_json", None]),
        (b"[1, 2 3, 4]", [None, "not_json", None]),
        (b'[1, "\xff", 3]', [None, "not_utf8", None]),
        (b'[1, {"a": 1, "a": 2}, 3]', [None, "duplicate_key", None]),
        (b"[1, " + b"[" * 20_000 + b"]" * 20_000 + b", 3]", [None, "not_json", None]),
        (b"[1, " + b"2" * 60_000 + b", 3]", [None, "too_large", None]),
        (b"[1, 23", [None, "damaged_file"]),
        (b"[1, 2,", [None, None, "damaged_file"]),
        (b'[1, {"a": "b', [None, "damaged_file"]),
        (b"[1, 2] and more", [None, None, "damaged_file"]),
        (b"[", ["damaged_file"]),
        (b"{", ["not_json"]),
        (b"nothing", ["not_json"]),
    ],
    ids=lambda value: repr(value[:14]) if isinstance(value, bytes) else "",
)
def test_damage_is_told_and_hides_no_neighbours(document, content, expected):
    found = document(content, max_record_bytes=50_000)
    assert reasons(found) == expected
    assert all(item.detail for item in found if hasattr(item, "detail"))


@pytest.mark.parametrize("piece_bytes", [3, 5, 64, 4096])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_wherever_pieces_and_parts_end(tmp_path, monkeypatch, piece_bytes, suffix):
    monkeypatch.setattr(json_values, "_PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 4)
    monkeypatch.setattr(jsonl, "_SHARD_BYTES", 300)
    rng = random.Random(piece_bytes)
    odd = ["", 'a"b', "\\", '\\"', "[{,", "]}", "é中", 7, -2.5, None, True, [], {}, [[]], {"a]": '"'}]
    for turn in range(20):
        records = [rng.choice(odd) if rng.random() < 0.5 else [rng.choice(odd)] * 3 for _ in range(rng.randrange(30))]
        content = json.dumps(records, indent=rng.choice([None, 1]), ensure_ascii=False).encode()
        path = tmp_path / f"{turn}.json{suffix}"
        path.write_bytes(FORMATS[suffix](content) if suffix else content)
        source = open_source(path)
        assert [item.payload for item in good(read(source))] == records
        alone = [item for shard in source.plan() for _, one in source.split(shard) for item in source.read(one)]
        assert alone == read(source)


def test_an_array_of_any_length_takes_bounded_memory(tmp_path):
    path = tmp_path / "long.json"
    with path.open("wb") as file:
        file.write(b'[{"n": 0}')
        for number in range(1, 5000):
            file.write(b',\n{"n": %d, "text": "%s"}' % (number, b"x" * 900))
        file.write(b', "' + b"y" * 12 * 2**20 + b'", "last"]')
    source = open_source(path, max_record_bytes=1000)
    tracemalloc.start()
    try:
        shards = source.plan()
        count = sum(1 for shard in shards for item in source.read(shard) if item.key)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5002
    assert peak < 4 * 2**20
