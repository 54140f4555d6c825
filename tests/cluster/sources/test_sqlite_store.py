"""SQLite files that migrations of nbmf wrote: every record as it was."""

import sqlite3
from contextlib import closing

import pytest
from items import good, read, reasons

import nbmf
from cluster.errors import RecordsError
from cluster.sources import SqliteStore, SqliteTable, open_source
from nbmf import stub
from nbmf.encryption import StoreKey

KEY = StoreKey.from_secret("the right one")
COLUMNS = "id INTEGER PRIMARY KEY, key, class, meta, blob, preview, encrypted, source_bytes, payload_bytes"


@pytest.fixture
def stored(tmp_path):
    """A function: writes rows (key, class, meta, blob, preview, encrypted) to a store."""

    def write(rows, columns=COLUMNS):
        path = tmp_path / "store.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA application_id = 0x6E626D66")
            connection.execute(f"CREATE TABLE records({columns})")
            connection.execute("CREATE TABLE shards(shard INTEGER PRIMARY KEY, records, statistics)")
            sql = "INSERT INTO records(key, class, meta, blob, preview, encrypted) VALUES(?, ?, ?, ?, ?, ?)"
            if rows:
                connection.executemany(sql, rows)
            connection.commit()
        return path

    return write


def test_records_are_what_they_were(stored):
    preview = stub.encode("the beginning", "semantic")
    sealed = KEY.seal(b'{"m": 1}\0' + nbmf.encode("hidden"))
    rows = [
        ("a", "note", '{"n": 1}', nbmf.encode(["one"]), 0, 0),
        ("a", "chat", "null", nbmf.encode(preview), 1, 0),
        ("b", "note", "null", sealed, 0, 1),
    ]
    path = stored(rows)
    source = open_source(path, key=KEY)
    assert type(source) is SqliteStore
    found = good(read(source))
    assert [(r.key, r.record_class, r.meta, r.payload, r.preview, r.encrypted) for r in found] == [
        ("a", "note", {"n": 1}, ["one"], False, False),
        ("a", "chat", None, preview, True, False),
        ("b", "note", {"m": 1}, "hidden", False, True),
    ]
    assert [r.source_bytes for r in found] == [len(row[3]) for row in rows]
    assert [place for shard in source.plan() for place, _ in source.split(shard)] == [r.place for r in found]
    assert reasons(read(open_source(path))) == [None, None, "encrypted"]


def test_rows_of_other_types(stored):
    sound = ("k", "note", "null", nbmf.encode("x"), 0, 0)
    bad = [(0, None), (0, 3), (1, b"x"), (2, "{"), (2, None), (3, "text"), (3, None), (3, b"no"), (4, 2), (4, None)]
    path = stored([sound, *((*sound[:at], value, *sound[at + 1 :]) for at, value in bad), sound])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO records SELECT 99, CAST(x'ff' AS TEXT), '', 'null', x'', 0, 0, 0, 0")
        connection.commit()
    found = reasons(read(open_source(path)))
    named = ["damaged_row"] * 3 + ["bad_meta"] + ["damaged_row"] * 3 + ["not_a_blob"] + ["damaged_row"] * 2
    assert found == [None, *named, None, "not_utf8"]


def test_a_migration_that_was_not_finished_is_refused(stored):
    path = stored([("k", "note", "null", nbmf.encode("x"), 0, 0)])
    beside = path.with_name("store.db.migration")
    beside.mkdir()
    (beside / "_plan.json").write_text("{}")
    with pytest.raises(RecordsError, match="not finished"):
        open_source(path).plan()
    (beside / "report.json").write_text("{}")
    assert len(read(open_source(path))) == 1


def test_which_files_are_stores(stored, tmp_path):
    path = stored([("k", "note", "null", nbmf.encode("x"), 0, 0)])
    assert type(open_source(path, reader="sqlite", table="records", payload_field="blob")) is SqliteTable
    assert type(open_source(path, reader="dataset")) is SqliteStore
    path.unlink()
    with pytest.raises(RecordsError, match="no store of nbmf: 'records' has no column preview"):
        open_source(stored([], "key, class, meta, blob, encrypted, id")).plan()
