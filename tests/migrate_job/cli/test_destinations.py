"""`nbmf migrate` into SQLite and in place, `commit` and `rollback`, and its help."""

import json

import pytest
import synthetic
from old_stores import KEY, write_old_store

from nbmf import store
from nbmf.encryption import KEY_VARIABLE


@pytest.fixture
def jsonl(tmp_path):
    return synthetic.write_jsonl(tmp_path / "a.jsonl", [1, 2, 3])


@pytest.fixture
def old(tmp_path):
    write_old_store(tmp_path / "store")
    (tmp_path / "key").write_text("the secret of the tests\n")
    return tmp_path / "store"


def records(root):
    return {path.name: path.read_bytes() for path in (root / "records").iterdir()}


def test_into_sqlite(nbmf_command, error_of, jsonl, tmp_path):
    command = ("migrate", jsonl, tmp_path / "new.db", "--codec", "none")
    result = nbmf_command(*command)
    assert result.code == 0, result.err
    assert f"Report: {tmp_path}/new.db.migration/report.json" in result.out.decode()
    with store.open(tmp_path / "new.db") as opened:
        assert [r.payload() for r in opened] == [1, 2, 3]
    assert nbmf_command(*command).code == 0
    named = nbmf_command("migrate", "run", jsonl, tmp_path / "named", "--to", "sqlite", "--codec", "none")
    assert named.code == 0, named.err
    assert (tmp_path / "named").read_bytes()[:6] == b"SQLite"
    (tmp_path / "folder").mkdir()
    assert "is a folder" in error_of("migrate", jsonl, tmp_path / "folder", "--to", "sqlite", "--codec", "none")


def test_in_place_there_and_back_and_there(ray_session, nbmf_command, error_of, old, monkeypatch):
    before = records(old)
    monkeypatch.setenv(KEY_VARIABLE, KEY_TEXT)
    first = nbmf_command("migrate", old, "--in-place", "--codec", "none")
    assert first.code == 3, first.err
    assert "nbmf migrate commit" in first.out.decode()
    assert records(old) != before
    report = json.loads((old / ".nbmf/run/report.json").read_text())
    assert report["dead_reasons"] == {"wrong_key": 1, "not_json": 1}
    back = nbmf_command("migrate", "rollback", old)
    assert (back.code, back.out) == (0, b"Rolled back; 9 records are as they were.\n")
    assert records(old) == before
    monkeypatch.delenv(KEY_VARIABLE)
    again = ("migrate", "--in-place", "--key-file", old.parent / "key", "--codec", "none", old)
    assert nbmf_command(*again).code == 3
    after = records(old)
    (old / "records" / "plain0__note.json").write_text('{"payload": "mine"}')
    committed = nbmf_command("migrate", "commit", old)
    assert (committed.code, committed.out) == (0, b"Committed; the originals of 9 records were removed.\n")
    assert {name for name, content in records(old).items() if after[name] != content} == {"plain0__note.json"}
    for end in ("commit", "rollback"):
        assert "no migration in place" in error_of("migrate", end, old)
    with store.open(old, key=KEY) as opened:
        assert opened.get("secret").payload() == "words that are encrypted"


KEY_TEXT = "the secret of the tests"


def test_a_rollback_tells_what_it_left(ray_session, nbmf_command, old):
    nbmf_command("migrate", old, "--in-place", "--codec", "none", "--key-file", old.parent / "key")
    (old / "records" / "plain0__note.json").write_text('{"payload": "mine"}')
    (old / "records" / "plain1__note.json").unlink()
    out = nbmf_command("migrate", "rollback", old).out.decode()
    assert "7 records are as they were" in out
    assert "left as it is, written since: plain0__note.json" in out
    assert "left as it is, removed since: plain1__note.json" in out
    assert str(old / ".nbmf/superseded") in out


def test_a_dry_run_in_place_writes_nothing(nbmf_command, old):
    before = synthetic.snapshot(old)
    result = nbmf_command("migrate", old, "--in-place", "--dry-run", "--codec", "none")
    assert result.code == 0, result.err
    assert synthetic.snapshot(old) == before


def test_what_makes_no_sense(nbmf_command, error_of, jsonl, tmp_path):
    for arguments in ((jsonl,), (jsonl, tmp_path / "new", "--in-place"), (jsonl, "--in-place", "--to", "sqlite")):
        assert nbmf_command("migrate", *arguments).code == 2
    assert "is no legacy store" in error_of("migrate", jsonl, "--in-place", "--codec", "none")
    assert "no migration in place" in error_of("migrate", "commit", tmp_path)
    assert not (tmp_path / "new").exists()


def test_help_shows_all(nbmf_command):
    out = nbmf_command("migrate", "--help").out.decode()
    for text in ("commit", "rollback", "--in-place", "--to", "[run]", "--dry-run"):
        assert text in out
    assert "commit" in nbmf_command("migrate").out.decode() + nbmf_command("migrate").err
    assert "put the originals back" in nbmf_command("migrate", "rollback", "--help").out.decode()
