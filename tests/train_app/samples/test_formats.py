"""Records in known formats: what is learnt from, and what stays as it is."""

import json
import sqlite3
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from cluster.sources import LegacyStore
from nbmf.payload import Kind
from train_app.samples import formats
from train_app.samples.opening import Reading
from train_app.samples.reading import read_samples

TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good morning"}]
SHAREGPT = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Good morning"}]


def envelope(data, type_="text", domain="notes", **more):
    return {"id": "r1", "domain": domain, "type": type_, "data": data, "metadata": {"source": "x"}} | more


def rows_of(path, **reading):
    (source,) = Reading(**reading).open([str(path)])
    return [row for shard in source.plan() for row in read_samples(source, shard)]


def rows(tmp_path, *records, **reading):
    return rows_of(synthetic.write_jsonl(tmp_path / "records.jsonl", records), **reading)


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("record", "kind", "canonical", "group", "format_"),
    [
        (envelope("A note."), Kind.TEXT, b"A note.", "notes", "envelope"),
        (envelope('{"a": [1.50]}', "structured"), Kind.JSON, b'{"a":[1.50]}', "notes", "envelope"),
        (envelope('{"a": 1}', "text"), Kind.TEXT, b'{"a": 1}', "notes", "envelope"),
        (envelope({"a": 1}, "text"), Kind.JSON, b'{"a":1}', "notes", "envelope"),
        (envelope(TURNS, "conversation"), Kind.MESSAGES, compact(TURNS), "notes", "envelope"),
        (envelope(compact(TURNS).decode(), "json"), Kind.MESSAGES, compact(TURNS), "notes", "envelope"),
        (envelope("x", domain=None), Kind.TEXT, b"x", "", "envelope"),
        ({"domain": "d", "type": "t", "data": "x"}, Kind.TEXT, b"x", "d", "envelope"),
        ({"messages": TURNS}, Kind.MESSAGES, compact(TURNS), "", "messages"),
        ({"id": 3, "messages": TURNS, "metadata": {}}, Kind.MESSAGES, compact(TURNS), "", "messages"),
        ({"id": "c", "conversations": SHAREGPT}, Kind.JSON, compact(SHAREGPT), "", "conversations"),
    ],
)
def test_content_is_taken(tmp_path, record, kind, canonical, group, format_):
    (row,) = rows(tmp_path, record)
    assert (row["kind"], row["canonical"], row["group"], row["format"]) == (kind, canonical, group, format_)
    assert row["reason"] == ""


@pytest.mark.parametrize("around", [{"system": "Be brief."}, {"tools": [], "parallel_tool_calls": False}])
def test_a_chat_with_more_than_messages_is_whole(tmp_path, around):
    record = {**around, "messages": TURNS}
    (row,) = rows(tmp_path, record)
    assert (row["kind"], row["canonical"], row["format"]) == (Kind.JSON, compact(record), "whole_chat")


@pytest.mark.parametrize(
    "record",
    [
        envelope("x", tags=["more"]),
        {"type": "event", "data": {"a": 1}},
        envelope("x", type_=3),
        envelope("x", domain=["a"]),
        {"messages": TURNS, "rating": 5},
        {"messages": ["Hello"]},
        {"messages": []},
        {"conversations": [{"from": "human"}]},
        {"data": "x"},
    ],
)
def test_what_is_in_no_format_stays_whole(tmp_path, record):
    (row,) = rows(tmp_path, record)
    assert (row["canonical"], row["format"], row["group"]) == (compact(record), "", "")


def test_each_record_is_looked_at_alone(tmp_path):
    """So that what becomes of one does not change when others come."""
    found = rows(tmp_path, envelope("A note."), {"other": 1}, {"messages": TURNS})
    assert [row["format"] for row in found] == ["envelope", "", "messages"]


def test_a_type_that_is_not_obeyed(tmp_path):
    bad, twice, none, text = rows(
        tmp_path,
        envelope("{cut", "structured"),
        envelope('{"a":1,"a":2}', "structured"),
        envelope(None, "structured"),
        envelope("{cut", "text"),
    )
    assert bad["reason"] == twice["reason"] == "not_json"
    assert bad["detail"].startswith("`type` is structured, but `data` is no JSON text: ")
    assert bad["place"].endswith("records.jsonl:1")
    assert none["reason"] == "null"
    assert (text["reason"], text["canonical"]) == ("", b"{cut")


def test_it_is_not_looked_for_where_the_payload_is_named(tmp_path):
    record = envelope('{"a":1}', "structured")
    (row,) = rows(tmp_path, record, payload_field="data")
    assert (row["canonical"], row["group"], row["format"]) == (b'{"a":1}', "", "")
    for reading in ({"payload": "row"}, {"unwrap": False}):
        (row,) = rows(tmp_path, record, **reading)
        assert (row["canonical"], row["format"]) == (compact(record), "")


def test_a_class_field_is_asked_first(tmp_path):
    (row,) = rows(tmp_path, envelope("x"), class_field="type")
    assert (row["canonical"], row["group"]) == (b"x", "text")


def test_a_legacy_store_has_its_own_payloads(tmp_path):
    folder = tmp_path / "old" / "records"
    folder.mkdir(parents=True)
    (folder / "k__c.json").write_text(json.dumps({"payload": envelope("x"), "cls": "c"}))
    (source,) = Reading().open([str(tmp_path / "old")])
    assert isinstance(source, LegacyStore)
    (row,) = rows_of(tmp_path / "old")
    assert (row["canonical"], row["group"]) == (compact(envelope("x")), "c")


RECORDS = [envelope("A note."), envelope('{"a": 1}', "structured", "states"), envelope("{a", "structured")]


def test_columns_of_parquet(tmp_path):
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    note, state, bad = rows_of(tmp_path / "a.parquet")
    assert (note["canonical"], note["group"], note["format"]) == (b"A note.", "notes", "envelope")
    assert (state["canonical"], state["group"]) == (b'{"a":1}', "states")
    assert bad["reason"] == "not_json"


@pytest.mark.parametrize(("name", "chat"), [("messages", TURNS), ("conversations", SHAREGPT)])
def test_columns_of_a_chat(tmp_path, name, chat):
    pq.write_table(pa.Table.from_pylist([{"id": "k", name: chat}, {"id": "l", name: None}]), tmp_path / "a.parquet")
    row, none = rows_of(tmp_path / "a.parquet")
    assert row["canonical"] == compact(chat)
    assert none["reason"] == "null"


def test_columns_of_sqlite(tmp_path):
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE records (id TEXT PRIMARY KEY, domain TEXT, type TEXT, data TEXT, metadata TEXT)")
    found = [(str(n), r["domain"], r["type"], r["data"], "{}") for n, r in enumerate(RECORDS)]
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", found)
    connection.commit()
    connection.close()
    note, state, bad = rows_of(tmp_path / "a.db")
    assert (note["canonical"], note["group"], note["format"]) == (b"A note.", "notes", "envelope")
    assert (state["canonical"], state["group"]) == (b'{"a":1}', "states")
    assert bad["reason"] == "not_json"


def test_files_whose_columns_differ_are_asked_about(tmp_path):
    from cluster.errors import RecordsError

    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    pq.write_table(pa.Table.from_pylist([{**RECORDS[0], "tags": "x"}]), tmp_path / "b.parquet")
    with pytest.raises(RecordsError, match="which column is the payload"):
        rows_of(tmp_path)


def test_what_people_are_told():
    one, many = formats.lines(Counter({"envelope": 1200, "messages": 1}))
    assert one == "1,200 records in the specification's format: learnt from `data`, class from `domain`."
    assert many == "1 record in a chat format with `messages`: learnt from that list."
    assert list(formats.lines(Counter())) == []
