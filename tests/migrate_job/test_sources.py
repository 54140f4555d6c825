"""Migrations of what is no plain store: encrypted and cold records, SQLite, data sets, sources of one's own."""

import base64
import datetime
import hashlib
import json
import sqlite3
import zlib
from contextlib import closing
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from cluster.sources import SourceChanged, open_source
from migrate_job import job
from nbmf import store
from nbmf.encryption import StoreKey

SECRET = "the secret of this store"
KEY = StoreKey.from_secret(SECRET)


@pytest.fixture
def migrate(nbmf_command, tmp_path):
    """A function: runs `nbmf migrate`; gives its result, the payloads by key, and the reasons by key."""

    def run(source, *options, to="new"):
        result = nbmf_command("migrate", source, tmp_path / to, "--codec", "none", *options)
        assert result.code in (0, 3), result.err
        payloads = {record.key: record.payload() for record in store.iterate(tmp_path / to, key=KEY)}
        lines = (tmp_path / to / job.DEAD_LETTERS).read_text().splitlines()
        return result, payloads, {letter["key"]: letter["reason"] for letter in map(json.loads, lines)}

    return run


def test_a_legacy_store_of_every_kind(migrate, tmp_path):
    root = tmp_path / "old"
    (root / "records").mkdir(parents=True)
    record = json.dumps({"payload": "sealed", "meta": {}, "cls": "note"}).encode()
    (root / "records" / "a__note.json").write_text(json.dumps(KEY.encrypt(record)))
    other = StoreKey.from_secret("another").encrypt(record)
    (root / "records" / "b__note.json").write_text(json.dumps(other))
    blob = base64.b64encode(zlib.compress(b'["cold"]')).decode()
    (root / "a_1.json").write_text(json.dumps({"blob": blob}))
    name = hashlib.sha256(b'{"by": "hash"}').hexdigest()
    (root / "cas").mkdir()
    (root / "cas" / name).write_bytes(b'{"by": "hash"}')
    (root / "cas" / ("0" * 64)).write_bytes(b"1")
    (tmp_path / "key").write_text(SECRET + "\n")
    before = synthetic.snapshot(root)
    result, payloads, reasons = migrate(root, "--key-file", tmp_path / "key")
    assert result.code == 3
    assert payloads == {"a": "sealed", "cold/a_1": ["cold"], f"content/cas/{name}": {"by": "hash"}}
    assert reasons == {"b": "wrong_key", "content/cas/" + "0" * 64: "hash_mismatch"}
    assert synthetic.snapshot(root) == before
    plan = (tmp_path / "new" / "_plan.json").read_text()
    assert SECRET not in plan
    assert KEY.key.hex() not in plan


def test_sqlite_to_a_data_set_and_that_to_another(migrate, tmp_path):
    path = tmp_path / "memory.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes(id TEXT, kind TEXT, said)")
        connection.execute("CREATE TABLE other(x)")
        connection.execute(
            "INSERT INTO notes VALUES('k', 'note', 'hi'), ('j', 'note', x'00'), ('b', 'n', CAST(x'ff' AS TEXT))"
        )
        connection.commit()
    options = ("--table", "notes", "--payload-field", "said", "--key-field", "id", "--class-field", "kind")
    result, payloads, reasons = migrate(path, *options)
    assert (result.code, payloads, reasons) == (3, {"k": "hi", "j": b"\x00"}, {"b": "not_utf8"})
    assert {p.name for p in tmp_path.iterdir()} == {"memory.db", "new"}
    result, payloads, reasons = migrate(f"file://{tmp_path}/new", to="newer")
    assert (result.code, payloads, reasons) == (0, {"k": "hi", "j": b"\x00"}, {})
    assert {r.record_class for r in store.iterate(tmp_path / "newer")} == {"note"}


def test_a_source_of_ones_own(ray_session, migrate, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_bytes(b"one\n\n\xff\n\ntwo")
    result, payloads, reasons = migrate(tmp_path / "notes", "--reader", "tests.support.paragraphs:Paragraphs")
    assert (result.code, payloads) == (3, {"a.txt:1": "one", "a.txt:3": "two"})
    assert reasons == {"a.txt:2": "not_utf8"}


def test_a_file_that_goes_away_before_it_is_opened(tmp_path, monkeypatch):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    with pytest.raises(SourceChanged, match=r"a\.jsonl changed"):
        job.run(open_source(path), tmp_path / "new", str(tmp_path), "none", on_plan=lambda *_: path.unlink())
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", [1])
    source = open_source(path)
    (part,) = source.plan()
    path.unlink()
    with pytest.raises(SourceChanged, match="No such file"):
        list(source.read(part))


def test_user_errors(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    assert error_of("migrate", path, tmp_path / "new", "--key-file", tmp_path / "no").startswith("nbmf: bad_secret:")
    assert error_of("migrate", path, tmp_path / "new", "--table", "t").startswith("nbmf: records_error:")
    assert error_of("migrate", path, tmp_path / "new", "--reader", "x").startswith("nbmf: records_error:")
    assert error_of("migrate", "nothing://x", tmp_path / "new").startswith("nbmf: records_error:")
    assert not (tmp_path / "new").exists()


def test_a_column_is_not_guessed(error_of, tmp_path):
    turns = [[{"from": "human", "value": f"question {number}"}] for number in range(5)]
    table = pa.table({"id": [f"conv_{number}" for number in range(5)], "conversations": turns})
    pq.write_table(table, tmp_path / "chats.parquet")
    arguments = (tmp_path / "chats.parquet", tmp_path / "new", "--codec", "none")
    for options in ((), ("--dry-run",)):
        message = error_of("migrate", *arguments, *options)
        assert message.startswith("nbmf: records_error:")
        assert "id: string, conversations: list<" in message
        assert "--payload-field" in message
        assert "--payload row" in message
    assert "one of the two" in error_of("migrate", *arguments, "--payload", "row", "--payload-field", "id")
    assert not (tmp_path / "new").exists()


def test_rows_and_nested_columns_of_parquet(migrate, tmp_path):
    at = datetime.datetime(2025, 1, 31, 7, 5, tzinfo=datetime.UTC)
    rows = [
        {"id": "a", "turns": [{"by": "me", "at": at}], "facts": [("k", 1)], "cost": Decimal("1.10"), "raw": b"\xff"},
        {"id": "b", "turns": None, "facts": [], "cost": None, "raw": None},
    ]
    turn = pa.struct([("by", pa.string()), ("at", pa.timestamp("ns", "UTC"))])
    facts = pa.map_(pa.string(), pa.int64())
    types = {
        "id": pa.string(),
        "turns": pa.list_(turn),
        "facts": facts,
        "cost": pa.decimal128(5, 2),
        "raw": pa.binary(),
    }
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(types)), tmp_path / "rows.parquet")
    turns = [{"by": "me", "at": "2025-01-31T07:05:00.000000000Z"}]
    result, payloads, reasons = migrate(tmp_path / "rows.parquet", "--payload", "row", "--key-field", "id")
    assert (result.code, reasons) == (0, {})
    assert payloads == {
        "a": {"turns": turns, "facts": {"k": 1}, "cost": "1.10", "raw": {"base64": "/w=="}},
        "b": {"turns": None, "facts": {}, "cost": None, "raw": None},
    }
    assert json.loads((tmp_path / "new" / job.REPORT).read_text())["source_bytes"] == 2 + 8 + 9 + 16 + 1
    _, payloads, _ = migrate(tmp_path / "rows.parquet", "--payload-field", "turns", "--key-field", "id", to="turns")
    assert payloads == {"a": turns, "b": None}


def test_tables_with_blobs_and_views_of_sqlite(migrate, error_of, tmp_path):
    path = tmp_path / "agent.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """CREATE TABLE checkpoints(thread TEXT, id TEXT, type TEXT, checkpoint BLOB, PRIMARY KEY(thread, id));
            CREATE TABLE writes(thread TEXT, idx INTEGER, value BLOB, step AS (json_extract(thread, '$.n')));
            CREATE INDEX by_n ON writes(json_extract(thread, '$.n'));
            CREATE VIEW last AS SELECT thread || '/' || id AS k, checkpoint FROM checkpoints WHERE id > 'a';
            INSERT INTO checkpoints VALUES('t', 'a', 'msgpack', x'81a16101'), ('t', 'b', NULL, x'00');
            INSERT INTO writes VALUES('{"n": 7}', 1, x'ff');"""
        )
    message = error_of("migrate", path, tmp_path / "new", "--codec", "none")
    assert "checkpoints (thread: TEXT, id: TEXT, type: TEXT, checkpoint: BLOB), writes (" in message
    assert "the view last" in message
    _, payloads, _ = migrate(
        path, "--table", "checkpoints", "--payload-field", "checkpoint", "--key-field", "id", to="1"
    )
    assert payloads == {"a": b"\x81\xa1a\x01", "b": b"\x00"}
    _, payloads, _ = migrate(path, "--table", "writes", "--payload", "row", to="2")
    row = {"thread": '{"n": 7}', "idx": 1, "value": {"base64": "/w=="}, "step": 7}
    assert payloads == {"agent.db:writes:1": row}
    _, payloads, _ = migrate(path, "--table", "last", "--payload-field", "checkpoint", "--key-field", "k", to="3")
    assert payloads == {"t/b": b"\x00"}
