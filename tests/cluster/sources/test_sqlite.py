"""SQLite tables: every row found, values of every type, damage and other writers noticed, nothing ever written."""

import math
import os
import pickle
import random
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from items import good, read, reasons

import nbmf
from cluster.errors import RecordsError
from cluster.sources import (
    BadRecord,
    Record,
    SourceChanged,
    SourceUnavailable,
    check_unchanged,
    open_source,
    sqlite_cuts,
    sqlite_file,
)
from nbmf import stub


@pytest.fixture
def database(tmp_path):
    """A function: a file made by SQL, then rows for `INSERT INTO t VALUES`."""

    def make(sql="CREATE TABLE t(payload)", rows=(), name="memory.db"):
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(sql)
            for row in rows:
                connection.execute(f"INSERT INTO t VALUES({', '.join('?' * len(row))})", row)
            connection.commit()
        return path

    return make


def test_keys_classes_and_places(database):
    rows = [("k1", "note", "one"), (None, None, "two"), (7, 1.5, "three"), (b"\xff", b"\x01", "four")]
    path = database("CREATE TABLE t(id, kind, said)", rows)
    found = good(read(open_source(path, payload_field="said", key_field="id", class_field="kind")))
    assert [(r.key, r.record_class, r.payload) for r in found] == [
        ("k1", "note", "one"),
        ("memory.db:t:2", "", "two"),
        ("7", "1.5", "three"),
        ("ff", "01", "four"),
    ]
    assert [r.place for r in found] == [f"{path}:t:{n}" for n in (1, 2, 3, 4)]
    assert [(r.meta, r.preview, r.encrypted) for r in found] == [({}, False, False)] * 4


def test_values_of_every_type(database):
    values = ["text", "", "nul\0 inside", 0, -(2**63), 2**63 - 1, 1.5, -0.0, math.inf, None, b"", b"\x00\xff", "3"]
    found = good(read(open_source(database(rows=[(value,) for value in values]))))
    assert [(type(r.payload), r.payload) for r in found] == [(type(value), value) for value in values]
    assert math.copysign(1, found[7].payload) == -1
    assert [r.source_bytes for r in found[:3]] == [4, 0, 11]


def test_text_that_is_not_utf8_is_one_bad_row(database):
    sql = "CREATE TABLE t(id, payload); INSERT INTO t VALUES('a', 'x'), ('b', CAST(x'ff41' AS TEXT)), ('c', x'ff41')"
    sql += ", (CAST(x'ff' AS TEXT), 'y')"
    found = read(open_source(database(sql), key_field="id"))
    assert reasons(found) == [None, "not_utf8", None, "not_utf8"]
    assert [item.key for item in found] == ["a", "b", "c", None]
    assert found[2].payload == b"\xffA"


def test_text_in_utf16(database):
    path = database("PRAGMA encoding = 'UTF-16'; CREATE TABLE t(payload)", [("grüße 鍵",)])
    assert [r.payload for r in good(read(open_source(path)))] == ["grüße 鍵"]


def test_large_values_are_not_read(database):
    rows = [("x" * 101,), ("é" * 51,), ("x" * 100,), (b"x" * 101,)]
    found = read(open_source(database(rows=rows), max_record_bytes=100))
    assert reasons(found) == ["too_large", "too_large", None, "too_large"]
    assert [item.source_bytes for item in found] == [101, 102, 100, 101]


def test_blobs_of_nbmf_are_decoded(database, tmp_path):
    payloads = ["words, words", {"a": [1, 2.5]}, b"\x00bytes", [{"role": "user", "content": None}]]
    rows = [(nbmf.encode(payload),) for payload in payloads]
    source = open_source(database(rows=rows), registry=str(tmp_path / "registry"))
    assert [r.payload for r in good(read(source))] == payloads
    assert [r.source_bytes for r in read(source)] == [len(blob) for (blob,) in rows]


def test_damaged_blobs_among_sound_ones(database, small_version):
    registry, codec = small_version
    blobs = [codec.encode(record) for record in synthetic.records(90, seed=4) if type(record) is str]
    assert nbmf.inspect(blobs[4]).codec == codec.reference.hex()
    blobs[3] = blobs[3][:-1] + bytes([blobs[3][-1] ^ 1])
    unknown = blobs[4].replace(codec.reference, bytes([codec.reference[0] ^ 1, codec.reference[1]]), 1)
    blobs += [unknown, b"not a blob"]
    found = read(open_source(database(rows=[(blob,) for blob in blobs]), registry=registry.location))
    assert reasons(found) == [None] * 3 + ["checksum_mismatch"] + [None] * 26 + ["unknown_codec", None]
    assert found[-1].payload == b"not a blob"


def test_bytes_that_only_begin_like_blobs_stay_bytes(database):
    rng = random.Random(5)
    values = [rng.randbytes(40) for _ in range(300)]
    values[7] = nbmf.encode("one by chance")
    assert [r.payload for r in good(read(open_source(database(rows=[(v,) for v in values]))))] == values


def _map_of_message_pack(fields):
    """Of fields of short text and long text, as MessagePack writes it."""
    texts = [text.encode() for pair in fields.items() for text in pair]
    return bytes([0x80 | len(fields)]) + b"".join(
        (bytes([0xA0 | len(text)]) if len(text) < 32 else b"\xd9" + bytes([len(text)])) + text for text in texts
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_stay_bytes(database, protocol):
    values = [
        pickle.dumps({"note": record, "n": n}, protocol) for n, record in enumerate(synthetic.records(60, seed=6))
    ]
    assert [r.payload for r in good(read(open_source(database(rows=[(v,) for v in values]))))] == values


@pytest.mark.parametrize("first", [{"v": "4", "id": "7"}, {"id": "7"}, {"channel_values": "x"}, {"ä": "x"}, {"": "x"}])
def test_message_pack_stays_bytes(database, first):
    values = [_map_of_message_pack({**first, "text": "the notes of the day, " * 6 + str(n)}) for n in range(60)]
    assert [r.payload for r in good(read(open_source(database(rows=[(v,) for v in values]))))] == values


def test_blobs_that_begin_like_message_pack_are_decoded(database, small_version, monkeypatch):
    registry, codec = small_version
    monkeypatch.setattr("cluster.sources.sqlite._may_be_of_others", lambda _: True)
    records = [record for record in synthetic.records(30, seed=4) if type(record) is str]
    rows = [(codec.encode(record),) for record in records]
    assert [r.payload for r in good(read(open_source(database(rows=rows), registry=registry.location)))] == records


def test_stub_blobs_and_json(database):
    whole, preview = stub.encode({"a": 1}, "lossless"), stub.encode("some words", "semantic")
    from nbmf.json_text import dumps

    rows = [(dumps(whole),), (dumps(preview),), (dumps(whole).encode(),), ('{"sig": 1}',), ('{"sig" no',), ("[1]",)]
    found = good(read(open_source(database(rows=rows))))
    assert [r.payload for r in found] == [{"a": 1}, preview, {"a": 1}, '{"sig": 1}', '{"sig" no', "[1]"]
    assert [r.preview for r in found] == [False, True, False, False, False, False]
    parsed = good(read(open_source(database(name="b.db", rows=rows), parse_json=True)))
    assert [r.payload for r in parsed] == [{"a": 1}, preview, {"a": 1}, {"sig": 1}, '{"sig" no', [1]]


def test_columns_that_are_not_there(database):
    path = database("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)", [(1, 2, 3)], "c.db")
    for option in ("payload_field", "key_field", "class_field"):
        with pytest.raises(RecordsError, match="no column 'z'; 't' has the columns id: INTEGER, x, y"):
            open_source(path, **{"payload_field": "x", option: "z"}).plan()
    assert [r.payload for r in good(read(open_source(path, class_field="y")))] == [2]


def test_names_that_need_quotes(database):
    sql = 'CREATE TABLE "my ""table""; --"("pay ""load""", "rowid", [select]); '
    sql += "INSERT INTO \"my \"\"table\"\"; --\" VALUES('p', 'r', 'k')"
    source = open_source(database(sql), payload_field='pay "load"', key_field="select")
    assert [(r.key, r.payload) for r in good(read(source))] == [("k", "p")]


def test_an_empty_table(database):
    assert open_source(database()).plan() == []


@pytest.mark.parametrize("suffix", ["sqlite", "sqlite3", "db", "anything"])
def test_files_are_known_by_suffix_or_content(database, suffix):
    assert [r.payload for r in good(read(open_source(database(rows=[("x",)], name=f"m.{suffix}"))))] == ["x"]


TABLES = {
    "rowid": "CREATE TABLE t(payload, a, b)",
    "sparse": "CREATE TABLE t(payload, a INTEGER PRIMARY KEY, b)",
    "without": "CREATE TABLE t(payload, a, b, PRIMARY KEY(a, b)) WITHOUT ROWID",
    "descending": "CREATE TABLE t(payload, a, b, PRIMARY KEY(b DESC, a)) WITHOUT ROWID",
    "hidden": "CREATE TABLE t(payload, rowid, oid)",
    "collated": "CREATE TABLE t(payload, a TEXT COLLATE NOCASE, b, PRIMARY KEY(a, b)) WITHOUT ROWID",
}


@pytest.mark.parametrize("table", TABLES)
def test_shards_cover_every_row_once(database, monkeypatch, table):
    monkeypatch.setattr(sqlite_cuts, "_SHARD_ROWS", 7)
    rng = random.Random(table)
    numbers = [rng.randrange(-(2**62), 2**62) for _ in range(100)] if table == "sparse" else range(100)
    seconds = ["x", b"x", 1, 1.5, "X", b""]
    rows = [(f"row {n}", n if n % 3 or table == "sparse" else f"k{n}", seconds[n % 6]) for n in numbers]
    path = database(TABLES[table], rows)
    source = open_source(path, payload_field="payload")
    shards = source.plan()
    assert 14 <= len(shards) <= 16
    found = good(read(source))
    assert sorted(r.payload for r in found) == sorted(row[0] for row in rows)
    assert len({r.key for r in found}) == 100
    assert shards == open_source(path, payload_field="payload").plan()
    assert sum(shard.size_bytes for shard in shards) == sum(len(row[0]) for row in rows)


def test_a_key_of_text_that_is_not_utf8(database, monkeypatch):
    monkeypatch.setattr(sqlite_cuts, "_SHARD_ROWS", 1)
    sql = "CREATE TABLE t(a PRIMARY KEY, payload) WITHOUT ROWID;"
    sql += "INSERT INTO t VALUES(CAST(x'ff' AS TEXT), 1), (x'ff', 2), ('é', 3), (CAST(x'fe' AS TEXT), 4)"
    source = open_source(database(sql))
    assert len(source.plan()) == 4
    assert sorted(r.payload for r in good(read(source))) == [1, 2, 3, 4]


def test_shards_are_cut_by_bytes_too(database, monkeypatch):
    monkeypatch.setattr(sqlite_cuts, "_SHARD_BYTES", 1000)
    assert len(open_source(database(rows=[("x" * 400,)] * 9)).plan()) == 3


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pages_hide_only_their_own_rows(database, monkeypatch, seed):
    monkeypatch.setattr(sqlite_cuts, "_SHARD_ROWS", 100)
    path = database("PRAGMA page_size = 1024; CREATE TABLE t(payload)", [(f"row {n} " * 9,) for n in range(1500)])
    whole = {r.place: r for r in good(read(open_source(path)))}
    content = bytearray(path.read_bytes())
    leaves = [at for at in range(1024, len(content), 1024) if content[at] == 13]
    for at in random.Random(seed).sample(leaves, 3):
        content[at : at + 200] = b"\xff" * 200
    path.write_bytes(content)
    source = open_source(path)
    found = read(source)
    rows = {item.place: item for item in found if isinstance(item, Record)}
    assert rows.items() <= whole.items()
    assert len(rows) >= 1500 - 3 * 16
    assert len(rows) + len([i for i in found if isinstance(i, BadRecord)]) == len(found)
    assert 1 <= sum(isinstance(i, BadRecord) for i in found) <= 3
    assert {i.reason for i in found if isinstance(i, BadRecord)} == {"damaged_file"}
    assert len(rows) < 1500


@pytest.mark.parametrize(("rowid", "before"), [(1, 5), (100, 6)])
def test_a_row_that_is_out_of_order_is_damage(database, monkeypatch, rowid, before):
    """Else rows behind it would be in no shard, or in two, or the planning would never end."""
    monkeypatch.setattr(sqlite_cuts, "_SHARD_ROWS", 4)
    path = database("PRAGMA page_size = 512; CREATE TABLE t(payload)", [(f"row {n} " * 9,) for n in range(60)])
    whole = {r.payload for r in good(read(open_source(path)))}
    content = bytearray(path.read_bytes())
    at = content.index(b"row 5 row 5") - 3
    assert content[at] == 6
    content[at] = rowid
    path.write_bytes(content)
    found = read(open_source(path))
    payloads = [item.payload for item in found if isinstance(item, Record)]
    assert set(reasons(found)) == {None, "damaged_file"}
    assert len(set(payloads)) == len(payloads)
    assert set(payloads) <= whole
    assert payloads[:before] == [f"row {n} " * 9 for n in range(before)]


def test_damage_after_planning(database):
    path = database("PRAGMA page_size = 1024; CREATE TABLE t(payload)", [(f"row {n} " * 9,) for n in range(100)])
    source = open_source(path)
    shards = source.plan()
    content = path.read_bytes()
    path.write_bytes(content[:3000])
    assert "damaged_file" in reasons([item for shard in shards for item in source.read(shard)])
    path.write_bytes(b"SQLite format 3\0" + bytes(200))
    assert reasons([item for shard in shards for item in source.read(shard)]) == ["damaged_file"]
    path.unlink()
    with pytest.raises(SourceChanged, match=r"memory\.db changed"):
        list(source.read(shards[0]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.data())
def test_nothing_that_a_file_holds_raises(database, tmp_path, data):
    path = tmp_path / "hostile.db"
    path.unlink(missing_ok=True)
    sql = "PRAGMA page_size = 512; CREATE TABLE t(payload)"
    database(sql, [(f"row {n} " * 9,) for n in range(60)], path.name)
    source = open_source(path)
    shards = source.plan()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=40))
        content[at : at + len(piece)] = piece
    path.write_bytes(content)
    try:
        items = [item for shard in shards for item in source.read(shard)]
        assert all(isinstance(item, Record | BadRecord) for item in items)
    except RecordsError:
        pass  # its schema says something else now: the run ends
    try:
        again = open_source(path, reader="sqlite").plan()
    except RecordsError:
        return
    for shard in again:
        assert all(isinstance(item, Record | BadRecord) for item in source.read(shard))


def write_with_log(path, end):
    """Rows of which the last is in the log alone, by a program that then does `end`."""
    code = f"""if True:
        import os, sqlite3
        connection = sqlite3.connect({str(path)!r})
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t(payload)")
        connection.execute("INSERT INTO t VALUES('in the file')")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO t VALUES('in the log')")
        connection.commit()
        {end}
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_log_that_is_finished_leaves_no_files(tmp_path):
    write_with_log(tmp_path / "m.db", "connection.close()")
    before = synthetic.snapshot(tmp_path)
    assert list(before) == ["m.db"]
    assert [r.payload for r in good(read(open_source(tmp_path / "m.db")))] == ["in the file", "in the log"]
    assert synthetic.snapshot(tmp_path) == before


def test_a_log_of_a_program_that_was_killed(tmp_path):
    path = tmp_path / "m.db"
    write_with_log(path, "os._exit(0)")
    before = synthetic.snapshot(tmp_path)
    assert list(before) == ["m.db", "m.db-shm", "m.db-wal"]
    assert [r.payload for r in good(read(open_source(path)))] == ["in the file", "in the log"]
    after = synthetic.snapshot(tmp_path)
    assert {name: after[name] for name in ("m.db", "m.db-wal")} == {name: before[name] for name in ("m.db", "m.db-wal")}
    (tmp_path / "m.db-shm").unlink()
    with pytest.raises(RecordsError, match="wal_checkpoint"):
        open_source(path).plan()
    assert list(synthetic.snapshot(tmp_path)) == ["m.db", "m.db-wal"]


def test_a_writer_is_noticed(tmp_path):
    path = tmp_path / "m.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t(payload)")
        writer.execute("INSERT INTO t VALUES('a')")
        source = open_source(path)
        (shard,) = source.plan()
        assert [r.payload for r in source.read(shard)] == ["a"]
        check_unchanged(shard)
        writer.execute("INSERT INTO t VALUES('b')")
        with pytest.raises(SourceChanged, match=r"m\.db-wal changed"):
            check_unchanged(shard)


def test_a_transaction_that_was_cut_off_is_not_guessed_at(database):
    path = database("PRAGMA page_size = 512; CREATE TABLE t(payload)", [("x" * 300,)] * 50)
    code = f"""if True:
        import os, sqlite3
        connection = sqlite3.connect({str(path)!r}, isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET payload = payload || 'y'")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    assert os.path.getsize(f"{path}-journal") > 512  # noqa: PTH202
    before = synthetic.snapshot(path.parent)
    with pytest.raises(RecordsError, match="let SQLite finish that"):
        open_source(path).plan()
    assert synthetic.snapshot(path.parent) == before


def test_a_file_that_another_program_has_locked(database, monkeypatch):
    monkeypatch.setattr(sqlite_file, "LOCK_TIMEOUT_S", 0)
    path = database(rows=[("x",)])
    source = open_source(path)
    (shard,) = source.plan()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceUnavailable, match="locked"):
            list(source.read(shard))


def test_sqlite_is_read_on_this_machine_alone(database, tmp_path):
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    database(rows=[("x",)])
    with pytest.raises(RecordsError, match="local filesystems"):
        open_source("memory.db", filesystem=SubTreeFileSystem(str(tmp_path), LocalFileSystem()))
    with pytest.raises(RecordsError, match="no SQLite file"):
        open_source(tmp_path, table="t", reader="legacy")
