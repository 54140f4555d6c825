"""Which column is the payload: taken where it is clear, else asked, alike for Parquet and SQLite."""

import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from items import good, read

import nbmf
from cluster.errors import RecordsError
from cluster.sources import open_source

TURNS = [[{"from": "human", "value": "hi"}]]
ASKED = (
    r"which column is the payload\? Name it with --payload-field, or take the whole row, as an object, with --payload"
)


@pytest.mark.parametrize(
    ("columns", "payload"),
    [
        ({"payload": ["p"], "other": ["o"], "id": ["k"]}, "p"),
        ({"payload": [7], "other": ["o"]}, 7),
        ({"n": [1], "said": ["hi"], "at": pa.array([0], pa.timestamp("us")), "ok": [True]}, "hi"),
        ({"n": [1], "embedding": pa.array([[0.5, 1.5]], pa.list_(pa.float32()))}, [0.5, 1.5]),
        ({"turns": TURNS}, TURNS[0]),
        ({"raw": [b"\x00\xff"], "none": pa.nulls(1)}, b"\x00\xff"),
        ({"kind": pa.array(["a"]).dictionary_encode()}, "a"),
        ({"id": ["only this"]}, "only this"),
    ],
)
def test_a_column_that_is_clear_is_taken(table, columns, payload):
    (found,) = good(read(open_source(table(**columns))))
    assert found.payload == payload


@pytest.mark.parametrize(
    "columns",
    [
        {"id": ["conv_0"], "conversations": TURNS},
        {"title": ["doc"], "embedding": [[0.5]]},
        {"prompt": ["p"], "response": ["r"], "score": [0.5]},
        {"id": ["a"], "x": [1.5]},
        {"chatId": ["a"], "x": [1.5]},
        {"text": ["t"], "kind": pa.array(["a"]).dictionary_encode()},
        {"a": [1], "b": [2]},
    ],
)
def test_what_is_not_clear_is_asked_for(table, columns):
    shown = ", ".join(f"{name}: .*" for name in columns)
    with pytest.raises(RecordsError, match=rf"memory\.parquet: {ASKED} row; the file has {shown}$"):
        open_source(table(**columns)).plan()


def test_key_and_class_are_not_asked_about(table):
    path = table(id=["k"], kind=["c"], conversations=TURNS)
    (found,) = good(read(open_source(path, key_field="id", class_field="kind")))
    assert (found.key, found.record_class, found.payload, found.source_bytes) == ("k", "c", TURNS[0], 7)


def test_a_whole_row_is_an_object_in_the_order_of_columns(table):
    path = table(
        prompt=["p"], id=["k"], raw=[b"\xff"], score=[0.5], none=pa.nulls(1), at=pa.array([1], pa.timestamp("s"))
    )
    (found,) = good(read(open_source(path, payload="row", key_field="id")))
    row = {"prompt": "p", "raw": {"base64": "/w=="}, "score": 0.5, "none": None, "at": "1970-01-01T00:00:01.000"}
    assert (found.key, found.payload, list(found.payload)) == ("k", row, list(row))
    assert found.source_bytes == 1 + 1 + 8 + 8
    (found,) = good(read(open_source(path, payload="row")))
    assert (found.key, found.payload["id"]) == ("memory.parquet:0:0", "k")


def test_options_that_contradict_one_another(table):
    path = table(id=["k"])
    with pytest.raises(RecordsError, match="one of the two"):
        open_source(path, payload="row", payload_field="id")
    with pytest.raises(RecordsError, match="`row` or left out, not 'rows'"):
        open_source(path, payload="rows")
    with pytest.raises(RecordsError, match="no column is left for the payload; the file has id: string"):
        open_source(path, payload="row", key_field="id").plan()
    with pytest.raises(RecordsError, match="no column 'b'; the file has id: string"):
        open_source(path, payload_field="b").plan()


@pytest.mark.parametrize(
    ("option", "value"), [("payload", "row"), ("payload_field", "p"), ("key_field", "id"), ("class_field", "kind")]
)
def test_stores_are_not_told_what_they_say_themselves(tmp_path, option, value):
    """It would have no effect."""
    (tmp_path / "store" / "records").mkdir(parents=True)
    columns = {"key": ["k"], "class": [""], "meta": ["null"], "blob": [nbmf.encode("x")], "preview": [False]}
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "set" / "part-000000.parquet")
    said = f"say themselves what key, class and payload are: leave --{option.replace('_', '-')} {value} out"
    for name, kind in (("store", "legacy store"), ("set", "data set")):
        assert open_source(tmp_path / name) is not None
        with pytest.raises(RecordsError, match=f"{name}: records of a {kind} {said}"):
            open_source(tmp_path / name, **{option: value})


def test_files_of_a_folder_that_differ_are_asked_about(table, tmp_path):
    table("a.parquet", said=["one"])
    table("b.parquet", text=["two"], n=[1])
    with pytest.raises(RecordsError, match=r"'said' of \S+a\.parquet but 'text' of \S+b\.parquet; name it with"):
        open_source(tmp_path).plan()
    with pytest.raises(RecordsError, match=r"b\.parquet: no column 'said'"):
        open_source(tmp_path, payload_field="said").plan()
    found = good(read(open_source(tmp_path, payload="row")))
    assert [r.payload for r in found] == [{"said": "one"}, {"text": "two", "n": 1}]


def test_a_type_without_a_form_is_refused_before_the_run(table):
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    path = table(chat=twice, id=["k"])
    with pytest.raises(RecordsError, match=r"memory\.parquet: column 'chat': a struct has two fields of one name"):
        open_source(path, payload_field="chat").plan()
    assert [r.payload for r in good(read(open_source(path, payload_field="id")))] == ["k"]


def test_large_values_of_any_type(table):
    path = table(vector=pa.array([[0.5] * 9, [0.5] * 10], pa.list_(pa.float64())))
    found = read(open_source(path, max_record_bytes=72))
    assert [getattr(item, "reason", None) for item in found] == [None, "too_large"]
    assert [item.source_bytes for item in found] == [72, 80]


def test_a_bad_row_among_nested_ones(table):
    raw = pa.array([b"fine", b"\xff", b"too"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    found = read(open_source(table(payload=pa.StructArray.from_arrays([text], names=["t"]))))
    assert [getattr(item, "payload", None) for item in found] == [{"t": "fine"}, None, {"t": "too"}]
    assert found[1].reason == "not_utf8"


@pytest.fixture
def database(tmp_path):
    """A function: a file made by SQL."""

    def make(sql):
        path = tmp_path / "memory.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(sql)
        return path

    return make


@pytest.mark.parametrize(
    ("columns", "values", "payload"),
    [
        ("k TEXT PRIMARY KEY, body TEXT", "'k', 'b'", "b"),
        ("id INTEGER PRIMARY KEY, body, at TIMESTAMP, n REAL, seen BOOLEAN", "1, 'b', 2, 3, 4", "b"),
        ("body TEXT, role AS (json_extract(body, '$.r')), n INT AS (length(body)) STORED", "'{}'", "{}"),
        ("payload, id", "5, 'x'", 5),
        ("id TEXT", "'only this'", "only this"),
    ],
)
def test_a_column_of_sqlite_that_is_clear_is_taken(database, columns, values, payload):
    (found,) = good(read(open_source(database(f"CREATE TABLE t({columns}); INSERT INTO t VALUES({values})"))))
    assert found.payload == payload


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ("thread_id TEXT, type TEXT, body BLOB, PRIMARY KEY(thread_id)", "thread_id: TEXT, type: TEXT, body: BLOB"),
        ("id TEXT, n INTEGER", "id: TEXT, n: INTEGER"),
        ("id INTEGER PRIMARY KEY, x, y", "id: INTEGER, x, y"),
        ("id INTEGER PRIMARY KEY, n INTEGER", "id: INTEGER, n: INTEGER"),
    ],
)
def test_what_is_not_clear_in_sqlite_is_asked_for(database, columns, shown):
    with pytest.raises(RecordsError, match=rf"memory\.db: {ASKED} row; 't' has the columns {shown}$"):
        open_source(database(f"CREATE TABLE t({columns})")).plan()


def test_a_whole_row_of_sqlite(database):
    sql = "CREATE TABLE t(id TEXT PRIMARY KEY, a, b, c, d, e, n AS (a + 1)); INSERT INTO t VALUES"
    path = database(
        sql + "('k', 9007199254740993, -9e999, x'ff00', NULL, 'é'), ('l', 1.0, '', x'', 1, CAST(x'ff' AS TEXT))"
    )
    found = read(open_source(path, payload="row", key_field="id"))
    row = {"a": 2**53 + 1, "b": float("-inf"), "c": {"base64": "/wA="}, "d": None, "e": "é", "n": 2**53 + 2}
    assert (found[0].key, found[0].payload, list(found[0].payload)) == ("k", row, list(row))
    assert found[0].source_bytes == 16 + 4 + 2 + 2 + 16
    assert (found[1].key, found[1].reason, found[1].detail.split(":")[0]) == ("l", "not_utf8", "column 'e'")
    found = read(open_source(path, payload="row", max_record_bytes=39))
    assert [item.reason for item in found] == ["too_large", "not_utf8"]


def left_out(source):
    return [(one.place.rpartition("/")[2], one.reason, one.detail.partition(": ")[2]) for one in source.not_read()]


def test_what_is_left_out_is_told(table, tmp_path, database):
    a, b = table(name="a.parquet", said=["x"], n=[1], id=["k"]), table(name="b.parquet", said=["x"], id=["k"])
    assert left_out(open_source(tmp_path, payload_field="said", key_field="id")) == [
        ("a.parquet", "other_columns", "n: int64")
    ]
    assert left_out(open_source(b, payload_field="said")) == [("b.parquet", "other_columns", "id: string")]
    assert left_out(open_source(a, payload="row")) == []
    sql = "CREATE TABLE a(id TEXT PRIMARY KEY, said TEXT); CREATE TABLE b(payload); CREATE TABLE c(x); "
    path = database(sql + "INSERT INTO a VALUES(1, 'x'); INSERT INTO b VALUES(1)")
    found = list(open_source(path, table="a").not_read())
    assert [(one.place, one.reason) for one in found] == [(f"{path}:b", "other_table"), (f"{path}:a", "other_columns")]
    assert found[1].detail.endswith(": id: TEXT")
    assert left_out(open_source(path, table="b")) == [("memory.db:a", "other_table", "")]
    for columns in ("id INTEGER PRIMARY KEY, said", "a, b, said, PRIMARY KEY(a, b)) WITHOUT ROWID; CREATE TABLE u(x"):
        assert left_out(open_source(database(f"CREATE TABLE t({columns})"), table="t")) == []
    path = database("CREATE TABLE t(id INTEGER PRIMARY KEY, said, n)")
    assert left_out(open_source(path, payload_field="said", key_field="n")) == [
        ("memory.db:t", "other_columns", "id: INTEGER")
    ]
