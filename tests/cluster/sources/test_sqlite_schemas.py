"""SQLite files whose schema holds SQL: indices, generated columns and views are read, or refused by name."""

import sqlite3
import time
from contextlib import closing

import pytest
from items import good, read, reasons

from cluster.errors import RecordsError
from cluster.sources import SourceChanged, open_source, sqlite_numbered
from cluster.sources.sqlite_file import connect


@pytest.fixture
def database(tmp_path):
    """A function: a file made by SQL, with a function and a collation that only its maker has."""

    def make(sql, name="memory.db"):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.create_function("mine", 1, lambda value: f"<{value}>", deterministic=True)
            connection.create_collation("my_order", lambda a, b: (a > b) - (a < b))
            connection.executescript(sql)
        return path

    return make


NOTES = """CREATE TABLE notes(k TEXT PRIMARY KEY, body TEXT);
INSERT INTO notes VALUES('a', '{"n": 1}'), ('b', '{"n": 2}'), ('c', '[3]');"""
BODIES = ['{"n": 1}', '{"n": 2}', "[3]"]


@pytest.mark.parametrize(
    "more",
    [
        "CREATE INDEX i ON notes(json_extract(body, '$.n'))",
        "CREATE INDEX i ON notes(k) WHERE body -> '$.n' IS NOT NULL",
        "CREATE TABLE empty(id INTEGER PRIMARY KEY, data); CREATE INDEX i ON empty(json_extract(data, '$.n'))",
        "ALTER TABLE notes ADD COLUMN n AS (json_extract(body, '$.n'))",
        "CREATE INDEX i ON notes(mine(body))",
        "ALTER TABLE notes ADD COLUMN m AS (mine(body)) VIRTUAL",
        "CREATE VIEW bad AS SELECT no_such(k) FROM notes",
        "CREATE TABLE checked(x CHECK (json_valid(x)), y DEFAULT (mine('d')))",
        "CREATE TRIGGER t AFTER INSERT ON notes BEGIN SELECT mine(new.body), json(new.body); END",
    ],
)
def test_sql_in_the_schema_that_the_rows_do_not_need(database, more):
    assert [r.payload for r in good(read(open_source(database(f"{NOTES} {more};"))))] == BODIES


def test_generated_columns_are_values_too(database):
    path = database(f"{NOTES} ALTER TABLE notes ADD COLUMN n AS (json_extract(body, '$.n'))")
    assert [r.payload for r in good(read(open_source(path, payload_field="n")))] == [1, 2, None]
    assert [r.payload["n"] for r in good(read(open_source(path, payload="row")))] == [1, 2, None]


def test_a_generated_column_that_cannot_be_computed_is_its_rows_fault(database):
    sql = "CREATE TABLE t(payload, n AS (json_extract(payload, '$.n')) VIRTUAL);"
    path = database(sql)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE t(payload)'")
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        rows = [("{}",), ("no",), ('{"n": 5}',), ("no",), ("no",), ("[]",), ("no",)]
        connection.executemany("INSERT INTO t VALUES(?)", rows)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ?", (sql.rstrip(";"),))
        connection.commit()
    for options in ({"payload": "row"}, {"payload_field": "n"}):
        found = read(open_source(path, **options))
        assert reasons(found) == [None, "damaged_row", None, "damaged_row", "damaged_row", None, "damaged_row"]
        assert [item.place.rpartition(":")[2] for item in found] == list("1234567")
    assert len(good(read(open_source(path)))) == 7


def test_what_needs_a_function_that_is_not_here_is_refused(database):
    path = database(
        f"{NOTES} ALTER TABLE notes ADD COLUMN m AS (mine(body)); CREATE VIEW v AS SELECT mine(k) FROM notes"
    )
    for options in ({"payload_field": "m"}, {"payload": "row"}):
        with pytest.raises(RecordsError, match=r"memory\.db: 'notes' cannot be read: unknown function: mine"):
            open_source(path, **options).plan()
    with pytest.raises(RecordsError, match=r"memory\.db: no such function: mine"):
        open_source(path, table="v", payload="row").plan()


@pytest.mark.parametrize("call", ["load_extension('x')", "random()", "randomblob(4)", "fts3_tokenizer('x')"])
def test_views_call_nothing_with_side_effects_and_nothing_random(database, call):
    path = database(f"{NOTES} CREATE VIEW v AS SELECT k, {call} AS x FROM notes")
    with pytest.raises(RecordsError, match=r"memory\.db: .*(not authorized to use|unsafe use of)"):
        open_source(path, table="v", payload="row").plan()
    assert [r.payload for r in good(read(open_source(path)))] == BODIES


def test_of_what_a_schema_may_call_only_functions_for_json_are_not_called_harmless_by_sqlite(database):
    deterministic, innocuous, direct_only = 0x800, 0x200000, 0x80000
    with closing(connect(database(NOTES))) as connection:
        others = {
            name.decode()
            for name, *_, flags in connection.execute("PRAGMA function_list")
            if flags & deterministic and not flags & (innocuous | direct_only)
        }
    assert {name for name in others if not name.startswith(("json", "->"))} == set()


def test_views(database):
    sql = f"{NOTES} INSERT INTO notes VALUES('d', '[3]'), ('e', NULL);"
    sql += "CREATE VIEW chats AS SELECT body AS text, json_extract(body, '$.n') AS n, 'k' || k AS id FROM notes"
    path = database(sql)
    found = good(read(open_source(path, table="chats", payload_field="text", key_field="id")))
    assert {r.key: r.payload for r in found} == dict(
        zip(("ka", "kb", "kc", "kd", "ke"), [*BODIES, "[3]", None], strict=True)
    )
    rows = {r.key: r.payload for r in good(read(open_source(path, table="chats", payload="row", key_field="id")))}
    assert rows["ka"] == {"text": '{"n": 1}', "n": 1}
    assert rows["kc"] == {"text": "[3]", "n": None}


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_rows_of_a_view_are_numbered_and_the_same_every_time(database, monkeypatch, rows):
    monkeypatch.setattr(sqlite_numbered, "_SHARD_ROWS", rows)
    values = ["'x'", "'X'", "1", "1.0", "x'78'", "NULL", "'x'", "-0.5", "'é'", "''"]
    inserted = ", ".join(f"({value}, {number % 3})" for number, value in enumerate(values * 3))
    path = database(
        f"CREATE TABLE t(a COLLATE NOCASE, b); INSERT INTO t VALUES{inserted}; CREATE VIEW v AS SELECT * FROM t"
    )
    source = open_source(path, table="v", payload_field="a")
    shards = source.plan()
    assert len(shards) == -(-30 // rows)
    assert shards == open_source(path, table="v", payload_field="a").plan()
    found = good(read(source))
    assert [r.key for r in found] == [f"memory.db:v:{number}" for number in range(1, 31)]
    wanted = good(read(open_source(path, table="t", payload_field="a")))
    assert sorted(repr(r.payload) for r in found) == sorted(repr(r.payload) for r in wanted)
    alone = [(place, item) for shard in shards for place, one in source.split(shard) for item in source.read(one)]
    assert [item for _, item in alone] == found
    assert [place for place, _ in alone] == [item.place for item in found]
    assert sum(shard.size_bytes for shard in shards) == sum(r.source_bytes for r in found)


def test_a_view_that_is_another_at_another_time_ends_the_run(database):
    path = database(f"{NOTES} CREATE VIEW v AS SELECT k, strftime('%f', 'now') AS at FROM notes")
    source = open_source(path, table="v", payload_field="at")
    (shard,) = source.plan()
    time.sleep(0.002)
    with pytest.raises(SourceChanged, match="'v' has other rows"):
        list(source.read(shard))


def test_rows_of_a_table_that_nothing_finds_are_numbered_too(database):
    path = database(
        "CREATE TABLE t(payload, rowid, oid, _rowid_); INSERT INTO t VALUES('one', 2, 1, 1), ('two', 1, 1, 1)"
    )
    assert [(r.key, r.payload) for r in good(read(open_source(path)))] == [
        ("memory.db:t:1", "one"),
        ("memory.db:t:2", "two"),
    ]


def test_a_table_in_an_order_that_is_not_here_is_refused(database):
    path = database("CREATE TABLE t(payload, a COLLATE my_order PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES(1, 2)")
    with pytest.raises(RecordsError, match=r"memory\.db: 't' cannot be read: "):
        open_source(path).plan()


def test_which_table_is_asked_with_their_columns(database):
    sql = "CREATE TABLE a(id INTEGER PRIMARY KEY, payload BLOB); CREATE TABLE b(payload);"
    sql += "CREATE VIEW c AS SELECT * FROM a"
    path = database(sql)
    has = r"the file has a \(id: INTEGER, payload: BLOB\), b \(payload\), the view c$"
    with pytest.raises(RecordsError, match=rf"memory\.db: which table\? Name it with --table; {has}"):
        open_source(path).plan()
    with pytest.raises(RecordsError, match=rf"memory\.db: no table 'd'; {has}"):
        open_source(path, table="d").plan()
    assert open_source(path, table="b").plan() == []
    with pytest.raises(RecordsError, match="the file has none"):
        open_source(database("PRAGMA user_version = 1")).plan()


def test_the_only_table_with_rows_is_taken(database):
    path = database("CREATE TABLE a(payload); CREATE TABLE b(payload); INSERT INTO b VALUES('x')")
    assert [r.payload for r in good(read(open_source(path)))] == ["x"]
    path = database(
        "CREATE TABLE a(payload); CREATE TABLE b(payload); INSERT INTO a VALUES('y'); INSERT INTO b VALUES('x')"
    )
    with pytest.raises(RecordsError, match="which table"):
        open_source(path).plan()


def test_tables_behind_a_search_index_are_not_offered(database):
    path = database(f"{NOTES} CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words SELECT body FROM notes")
    with pytest.raises(RecordsError, match=r"the file has notes \(k: TEXT, body: TEXT\), words \(body\)$"):
        open_source(path).plan()
    assert [r.payload for r in good(read(open_source(path, table="words")))] == BODIES


def test_tables_of_a_module_that_is_not_here(database):
    """As those of extensions for vectors."""
    path = database(NOTES)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        sql = "CREATE VIRTUAL TABLE vectors USING vec0(embedding float[3])"
        connection.execute("INSERT INTO sqlite_master VALUES('table', 'vectors', 'vectors', 0, ?)", (sql,))
        connection.commit()
    assert [r.payload for r in good(read(open_source(path, table="notes")))] == BODIES
    with pytest.raises(RecordsError, match=r"has notes \(k: TEXT, body: TEXT\), vectors \(no such module: vec0\)$"):
        open_source(path).plan()
    with pytest.raises(RecordsError, match=r"memory\.db: no such module: vec0"):
        open_source(path, table="vectors").plan()


def test_a_table_that_is_damaged_counts_as_one_with_rows(database):
    path = database(
        "PRAGMA page_size = 512; CREATE TABLE a(payload); CREATE TABLE b(payload); INSERT INTO b VALUES('x')"
    )
    content = bytearray(path.read_bytes())
    content[512:1024] = b"\xff" * 512
    path.write_bytes(content)
    with pytest.raises(RecordsError, match=r"which table\?"):
        open_source(path).plan()
    assert [r.payload for r in good(read(open_source(path, table="b")))] == ["x"]
