"""Legacy stores: every record found with key and class, every bad one with its reason, nothing raised for content."""

import base64
import json
import os
import random
import tracemalloc

import pytest
import synthetic
from items import good, read, reasons

from cluster.errors import RecordsError
from cluster.sources import BadRecord, LegacyStore, Record, legacy, open_source
from nbmf import stub
from nbmf.payload import to_canonical
from nbmf.store.record_file import file_name as record_file_name


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
    unknown = {**whole, "meta": {**whole["meta"], "encoder_version": "another-1"}}
    store.put("3__c.json", {"payload": unknown, "cls": "c"})
    found = good(store.read())
    assert [(r.payload, r.preview) for r in found] == [(["a", {"b": 2.5}], False), (preview, True), (unknown, False)]


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
    for name in ("a_1.json.bak", "a_x.json", "b_1.json", "a_\uff11.json", "f" * 63, "F" * 64, "f" * 64 + ".txt"):
        (store.root / name).write_text("{}")
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
    with pytest.raises(RecordsError, match="gone: No such file"):
        LegacyStore(tmp_path / "gone").plan()


def test_base64_in_encrypted_records_is_never_looked_at(store):
    store.put("k__c.json", {"__encrypted__": base64.b64encode(b"x").decode(), "payload": 1})
    assert reasons(store.read()) == ["encrypted"]


def test_a_folder_of_many_files_is_not_held_in_memory(tmp_path):
    """As of a content-addressed store, all of whose files are in one folder."""
    for number in range(5000):
        (tmp_path / f"{number:064x}").touch()
    tracemalloc.start()
    open_source(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
