"""Migrations of what is no plain store: encrypted and cold records, SQLite, data sets, sources of one's own."""

import base64
import hashlib
import json
import sqlite3
import zlib
from contextlib import closing

import pytest
import synthetic

from cluster.sources import SourceChanged, open_source
from migrate_job import job
from nbmf import store
from nbmf.encryption import StoreKey

pytestmark = pytest.mark.usefixtures("ray_session")

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


def test_a_source_of_ones_own(migrate, tmp_path):
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
