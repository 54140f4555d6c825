"""Folders: everything below them is read or named as not read, with the reason."""

import json
import os
import zlib
from base64 import b64encode
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from items import good, read
from packed import FORMATS
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

import nbmf
from cluster.errors import RecordsError
from cluster.sources import BadRecord, Record, jsonl, open_source
from cluster.sources.unread import Unread
from nbmf import store


def not_read(source, root):
    return {one.place.removeprefix(f"{root}/"): one.reason for one in source.not_read()}


def keys(source):
    return {item.key: item.payload for item in good(read(source))}


@pytest.fixture
def write(tmp_path):
    """A function: writes a file of a folder `memory`, whose path it returns."""
    root = tmp_path / "memory"
    root.mkdir()

    def put(name, content=""):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return put


def test_transcripts_in_dated_folders_some_of_them_compressed(write):
    lines = b'{"role": "user", "content": "hi"}\n{"role": "assistant", "content": "yes"}\n'
    root = write("sessions/2026/01/02/rollout-a.jsonl", lines)
    for suffix, pack in FORMATS.items():
        write(f"sessions/2025/12/31/rollout-a.jsonl{suffix}", pack(lines))
    write("history.jsonl", '"top"\n')
    found = keys(open_source(root))
    names = [f"sessions/2025/12/31/rollout-a.jsonl{suffix}" for suffix in FORMATS]
    expected = ["history.jsonl:1"]
    for name in (*sorted(names), "sessions/2026/01/02/rollout-a.jsonl"):
        expected += [f"{name}:1", f"{name}:2"]
    assert list(found) == expected
    assert found[f"{names[1]}:2"] == {"role": "assistant", "content": "yes"}
    assert not_read(open_source(root), root) == {}


def test_files_of_one_name_in_several_folders_have_keys_of_their_own(write):
    for folder in ("", "a/", "b/", "a/b/"):
        root = write(f"{folder}log.jsonl", json.dumps(folder))
    assert keys(open_source(root)) == {
        "log.jsonl:1": "",
        "a/log.jsonl:1": "a/",
        "a/b/log.jsonl:1": "a/b/",
        "b/log.jsonl:1": "b/",
    }


def test_parquet_in_folders_of_partitions(write, tmp_path):
    root = write("_SUCCESS")
    for year in (2025, 2026):
        (root / f"year={year}").mkdir()
        table = pa.table({"payload": [f"one {year}", f"two {year}"]})
        pq.write_table(table, root / f"year={year}" / "part-0.snappy.parquet", row_group_size=1)
    pq.write_table(pa.table({"payload": ["removed"]}), root / "_metadata.parquet")
    write("_delta_log/0.json", '{"add": 1}')
    pq.write_table(pa.table({"payload": ["log"]}), root / "_delta_log" / "1.checkpoint.parquet")
    write("year=2025/.part-0.snappy.parquet.crc", "crc")
    source = open_source(root)
    assert keys(source) == {
        f"year={year}/part-0.snappy.parquet:{group}:0": f"{word} {year}"
        for year in (2025, 2026)
        for group, word in enumerate(("one", "two"))
    }
    assert not_read(source, root) == {
        "_SUCCESS": "empty",
        "_delta_log": "of_another_tool",
        "_metadata.parquet": "of_another_tool",
        "year=2025/.part-0.snappy.parquet.crc": "hidden",
    }
    for shard in source.plan():
        ((place, alone),) = source.split(shard)
        assert [item.place for item in source.read(alone)] == [place]
        assert place.startswith(f"{root}/year=")


def test_what_is_not_read_is_named_with_the_reason(write):
    root = write("a.jsonl", "1\n")
    for name in ("notes.md", "deep/er/table.csv", "deep/packed.tar.gz"):
        write(name, "x")
    write("empty.jsonl")
    write("deep/empty.json.gz")
    write(".hidden.jsonl", "2\n")
    write(".git/objects/x.jsonl", "3\n")
    write("memory.db", "SQLite format 3\0")
    (root / "gone.jsonl").symlink_to("nowhere.jsonl")
    (root / "loop").symlink_to(root)
    (root / "circle.jsonl").symlink_to("circle.jsonl")
    (root / "circle").symlink_to("circle")
    os.mkfifo(root / "pipe.jsonl")
    (root / "linked.jsonl").symlink_to("a.jsonl")
    source = open_source(root)
    assert keys(source) == {"a.jsonl:1": 1, "linked.jsonl:1": 1}
    assert not_read(source, root) == {
        "notes.md": "unknown_kind",
        "deep/er/table.csv": "unknown_kind",
        "deep/packed.tar.gz": "unknown_kind",
        "empty.jsonl": "empty",
        "deep/empty.json.gz": "empty",
        ".hidden.jsonl": "hidden",
        ".git": "hidden",
        "memory.db": "other_kind",
        "gone.jsonl": "link_to_nothing",
        "circle.jsonl": "link_to_nothing",
        "circle": "link_to_nothing",
        "loop": "link_to_folder",
        "pipe.jsonl": "no_regular_file",
    }
    unread = Unread.of(source)
    assert (unread.reasons.total(), unread.faults) == (13, 3)
    assert unread.lines()[0].startswith("Not read: 13 parts of the source (2 empty, 2 hidden,")
    assert unread.lines()[-1] == "  and 3 more"
    assert [one["place"] for one in unread.to_dict()["listed"]] == [one.place for one in source.not_read()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(write):
    root = write("a.jsonl", "1\n")
    write("secret.jsonl", "2\n")
    write("closed/b.jsonl", "3\n")
    (root / "secret.jsonl").chmod(0)
    (root / "closed").chmod(0)
    try:
        source = open_source(root)
        assert keys(source) == {"a.jsonl:1": 1}
        assert not_read(source, root) == {"secret.jsonl": "unreadable", "closed": "unreadable"}
        assert Unread.of(source).faults == 2
    finally:
        (root / "closed").chmod(0o700)


def test_a_hidden_folder_that_is_named_is_read(tmp_path):
    (tmp_path / ".agent" / "sessions").mkdir(parents=True)
    (tmp_path / ".agent" / "sessions" / "a.jsonl").write_text("1\n")
    assert keys(open_source(tmp_path / ".agent")) == {"sessions/a.jsonl:1": 1}


def test_the_same_on_other_filesystems(write, tmp_path):
    root = write("a.jsonl", "1\n")
    write("deep/er/b.jsonl.zst", FORMATS[".zst"](b"2\n3\n"))
    write("deep-er/c.json", "[4, 5]")
    write("deep/notes.md", "x")
    write("deep/empty.jsonl")
    write(".hidden/deep/d.jsonl", "6\n")
    write("old/_plan.json", "{}")
    write("old/_dead/0.jsonl", "7\n")
    bucket = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    here, there = open_source(root), open_source("memory", filesystem=bucket)
    assert keys(there) == keys(here)
    assert list(keys(here).values()) == [1, 2, 3, 4, 5]
    assert list(keys(there)) == list(keys(here))
    expected = {
        "deep/notes.md": "unknown_kind",
        "deep/empty.jsonl": "empty",
        ".hidden": "hidden",
        "old": "store_of_nbmf",
    }
    assert not_read(here, root) == not_read(there, "memory") == expected


def test_two_kinds_are_asked_about_and_the_other_one_is_named(write):
    root = write("deep/a.jsonl", "1\n")
    pq.write_table(pa.table({"payload": ["x"]}), root / "b.parquet")
    with pytest.raises(RecordsError, match=r"both JSON Lines and Parquet files; .* --reader"):
        open_source(root)
    lines, rows = open_source(root, reader="jsonl"), open_source(root, reader="parquet")
    assert (keys(lines), not_read(lines, root)) == ({"deep/a.jsonl:1": 1}, {"b.parquet": "other_kind"})
    assert (keys(rows), not_read(rows, root)) == ({"b.parquet:0:0": "x"}, {"deep/a.jsonl": "other_kind"})


def test_documents_beside_parquet_are_no_second_kind(write):
    """As the cards of data sets are."""
    root = write("dataset_infos.json", "{}")
    pq.write_table(pa.table({"payload": ["x"]}), root / "b.parquet")
    source = open_source(root)
    assert keys(source) == {"b.parquet:0:0": "x"}
    assert not_read(source, root) == {"dataset_infos.json": "other_kind"}


def test_a_data_set_has_nothing_that_is_not_read_but_strangers(write):
    root = write("_plan.json", "{}")
    for name in (
        "report.json",
        "report.html",
        "dead-letters.jsonl",
        "_done/000000.json",
        "_dead/000000.jsonl",
        "_lock",
    ):
        write(name, "{}")
    row = {"key": ["k"], "class": ["c"], "meta": ["null"], "preview": [False], "blob": [nbmf.encode(1)]}
    pq.write_table(pa.table(row), root / "part-000000.parquet")
    write("notes.txt", "x")
    source = open_source(root)
    assert keys(source) == {"k": 1}
    assert not_read(source, root) == {"notes.txt": "unknown_kind"}


def test_what_a_legacy_store_has_besides_records(write):
    root = write("records/a__note.json", '{"payload": 1}')
    (root / "circle").symlink_to("circle")
    write("records/readme.txt", "x")
    write("records/deep/b__note.json", '{"payload": 2}')
    write("a_1.json", json.dumps({"blob": b64encode(zlib.compress(b"3")).decode()}))
    write("a_x.json", "{}")
    write("more.jsonl", "4\n")
    write(".nbmf/history/0001/report.json", "{}")
    source = open_source(root)
    assert keys(source) == {"a": 1, "cold/a_1": 3}
    assert not_read(source, root) == {
        "records/readme.txt": "unknown_kind",
        "records/deep/b__note.json": "other_kind",
        "a_x.json": "other_kind",
        "circle": "link_to_nothing",
        "more.jsonl": "other_kind",
    }


def test_many_small_files_share_a_shard_in_their_order(write, monkeypatch):
    for number in range(30):
        root = write(f"messages/{number:02}.json", json.dumps({"n": number}))
    source = open_source(root)
    assert [len(shard.files) for shard in source.plan()] == [30]
    assert [item.payload["n"] for item in read(source)] == list(range(30))
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 7)
    shards = source.plan()
    assert [len(shard.files) for shard in shards] == [7, 7, 7, 7, 2]
    assert sum(shard.size_bytes for shard in shards) == sum(path.stat().st_size for path in root.rglob("*.json"))
    for shard in shards:
        whole = list(source.read(shard))
        alone = [(place, list(source.read(one))) for place, one in source.split(shard)]
        assert [item for _, items in alone for item in items] == whole
        assert all(item.place == place for place, items in alone for item in items)


def test_the_plan_of_a_folder_that_was_always_read_is_what_it_was(write):
    """Shards and repr as an older nbmf made them: a run that it began goes on."""
    root = write("b.ndjson", "2\n\n3\n")
    write("a.jsonl", "1\n")
    write("c.jsonl")
    write("notes.md", "x")
    source = open_source(root)
    assert [(shard.path, shard.span) for shard in source.plan()] == [
        (f"{root}/a.jsonl", (0, 2, 1)),
        (f"{root}/b.ndjson", (0, 5, 1)),
    ]
    assert [file.name for shard in source.plan() for file in shard.files] == ["", ""]
    paths = tuple(f"{root}/{name}" for name in ("a.jsonl", "b.ndjson", "c.jsonl"))
    assert repr(source) == (
        f"JsonLines(paths={paths!r}, payload_field=None, key_field=None, class_field=None, "
        "max_record_bytes=16777216, storage=Storage(kind='local'))"
    )


def test_a_name_that_is_no_text_can_be_told(write):
    root = write("a.jsonl", "1\n")
    (root / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    unread = Unread.of(open_source(root))
    assert unread.listed[0]["place"] == f"{root}/caf\\udce9.txt"
    json.dumps(unread.to_dict()).encode()
    "\n".join(unread.lines()).encode()


def test_a_name_that_is_no_text_gives_keys_that_are(write):
    root = write("a.jsonl", "1\n")
    (root / os.fsdecode(b"caf\xe9")).mkdir()
    (root / os.fsdecode(b"caf\xe9/b.jsonl")).write_text("2\n")
    (root / os.fsdecode(b"\xe9.jsonl")).write_text("3\n")
    assert keys(open_source(root)) == {"a.jsonl:1": 1, "caf\\udce9/b.jsonl:1": 2, "\\udce9.jsonl:1": 3}


def test_the_folder_of_a_migration_inside_its_source_is_no_source(write, tmp_path):
    from here import migrate_here

    from migrate_job.destinations import ParquetParts

    root = write("a.jsonl", '"one"\n"two"\n')
    migrate_here(open_source(root), root / "new", ParquetParts())
    source = open_source(root)
    assert keys(source) == {"a.jsonl:1": "one", "a.jsonl:2": "two"}
    assert not_read(source, root) == {"new": "store_of_nbmf"}
    assert migrate_here(source, root / "new", ParquetParts()) == []
    assert len(list(store.iterate(root / "new"))) == 2


@pytest.mark.parametrize("kind", ["legacy", "jsonl"])
def test_links_out_of_a_folder_are_followed_when_that_is_asked_for(tmp_path, kind):
    root, outside = tmp_path / "store", tmp_path / "outside"
    records = root / "records" if kind == "legacy" else root
    records.mkdir(parents=True)
    outside.mkdir()
    name, content = ("k{}__note.json", '{"payload": "words"}') if kind == "legacy" else ("k{}.jsonl", '"words"\n')
    for folder, number in ((records, 1), (outside, 2)):
        (folder / name.format(number)).write_text(content)
    (records / name.format(3)).symlink_to(name.format(1))
    (records / name.format(4)).symlink_to(outside / name.format(2))
    (records / name.format(5)).symlink_to(tmp_path / "link")
    (tmp_path / "link").symlink_to(outside / name.format(2))
    left, followed = (open_source(root, follow_links=follow) for follow in (False, True))
    assert [item.payload for item in read(followed)] == ["words"] * 4
    good = [item for item in read(left) if isinstance(item, Record)]
    assert [item.payload for item in good] == ["words"] * 2
    out = [item for item in read(left) if isinstance(item, BadRecord)] if kind == "legacy" else [*left.not_read()]
    assert [(Path(one.place).name, one.reason) for one in out] == [
        (name.format(number), "link_out_of_store") for number in (4, 5)
    ]
    assert "--follow-links" in out[0].detail
    if kind == "legacy":
        assert repr(left) == repr(followed)  # a run that was begun goes on
    (tmp_path / "by a link").symlink_to(root)
    assert len([item for item in read(open_source(tmp_path / "by a link")) if isinstance(item, Record)]) == 2
