"""Migrations into a SQLite file: the same records as in Parquet, moved exactly once, read by the same calls."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from here import migrate_here
from parts import row, write_parts

from cluster.errors import DestinationError
from cluster.sources import jsonl, open_source
from migrate_job.destinations import ParquetParts, SqliteFile
from migrate_job.destinations.sqlite import run_folder
from nbmf import store
from nbmf.encryption import StoreKey
from nbmf.store.errors import KeyRequired, RecordNotFound, StoreError
from nbmf.store.folder import LocalFolder

HERE = Path(__file__).parent
KEY = StoreKey.from_secret("the secret of the tests")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 10)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def source(tmp_path):
    lines = "".join(f'{{"id": "k{n % 30}", "kind": "{"ab"[n % 2]}", "payload": [{n}]}}\n' for n in range(45))
    (tmp_path / "a.jsonl").write_text(lines)
    return open_source(tmp_path / "a.jsonl", payload_field="payload", key_field="id", class_field="kind")


@pytest.fixture
def file(source, tmp_path):
    target = SqliteFile(tmp_path / "new.sqlite")
    migrate_here(source, run_folder(target.file), target)
    return target.file


def test_the_same_as_in_parquet(source, file, tmp_path):
    migrate_here(source, tmp_path / "parquet", ParquetParts())
    with store.open(file) as one, store.open(tmp_path / "parquet") as other:
        assert list(one) == list(other)
        assert list(one.keys()) == list(other.keys())
        assert len(one) == len(other) == 45
        assert one.statistics() == other.statistics()
        for key in (*(f"k{n}" for n in range(30)), "no", "\ud800"):
            for record_class in ("a", "b", "c"):
                assert one.get_all(key, record_class) == other.get_all(key, record_class)
            assert one.get_all(key) == other.get_all(key)
            assert one.classes_of(key) == other.classes_of(key)


def test_records(file):
    with store.open(file) as opened:
        assert [r.payload() for r in opened.get_all("k3")] == [[3], [33]]
        assert opened.get("k3", "b").payload() == [33]
        assert "k3" in opened
        assert ("k3", "a") not in opened
        with pytest.raises(RecordNotFound, match=r"new\.sqlite"):
            opened.get("no")


def test_it_is_sqlite_that_anyone_reads(file):
    connection = sqlite3.connect(file)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT blob FROM records WHERE key = 'k1' AND class = 'b'")
        assert "USING INDEX records_by_key" in plan.fetchone()[3]
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (45,)
    finally:
        connection.close()


def test_only_the_report_is_left_beside_it_and_a_rerun_changes_nothing(source, file):
    before, run = file.read_bytes(), run_folder(file)
    left = sorted(path.name for path in run.iterdir())
    assert left == sorted(["_dead", "_done", "_lock", "_plan.json", "dead-letters.jsonl", "report.html", "report.json"])
    assert migrate_here(source, run, SqliteFile(file)) == []
    assert file.read_bytes() == before


def test_encrypted_records(tmp_path):
    rows = [row("s", "secret", meta=["Anna"], encrypted=True), row("p", "plain")]
    target, run = SqliteFile(tmp_path / "new.db", KEY), tmp_path / "run"
    write_parts(run, index=False)
    (run / "_plan.json").write_text('{"fingerprint": "of a test"}')
    target.write(LocalFolder(run), 0, rows)
    target.finish(LocalFolder(run), 1)
    with store.open(tmp_path / "new.db", key=KEY) as opened:
        assert (opened.get("s").payload(), opened.get("s").meta) == ("secret", ["Anna"])
        assert opened.statistics().encrypted == 1
    with store.open(tmp_path / "new.db") as opened:
        assert opened.get("p").payload() == "plain"
        with pytest.raises(KeyRequired):
            opened.get("s")
    assert b"Anna" not in (tmp_path / "new.db").read_bytes()


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_file_of_something_else(source, tmp_path):
    file = tmp_path / "mine.sqlite"
    for content in (b"my notes", b""):
        file.write_bytes(content)
        with pytest.raises(DestinationError, match="is there already"):
            migrate_here(source, run_folder(file), SqliteFile(file))
        assert file.read_bytes() == content


def test_the_file_of_another_migration(source, file, tmp_path):
    (tmp_path / "b.jsonl").write_text("1\n" * 45)
    run_folder(file).rename(tmp_path / "away")
    with pytest.raises(DestinationError, match="not of this migration"):
        migrate_here(open_source(tmp_path / "b.jsonl"), run_folder(file), SqliteFile(file))
    assert len(store.open(file)) == 45


def test_a_file_that_was_removed_after_its_parts(source, file):
    file.unlink()
    with pytest.raises(DestinationError, match=r"is gone .* migrate again"):
        migrate_here(source, run_folder(file), SqliteFile(file))


def test_a_folder_that_is_not_there(source, tmp_path):
    file = tmp_path / "no" / "new.sqlite"
    with pytest.raises(DestinationError, match="is no folder"):
        SqliteFile(file).prepare(LocalFolder(run_folder(file)))


def test_other_sqlite_files_are_no_stores(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE records(key TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="no store of nbmf"):
        store.open(tmp_path / "other.sqlite")
    (tmp_path / "damaged.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(StoreError):
        store.open(tmp_path / "damaged.sqlite")


# --- killed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [23, pytest.param(2, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_killed_while_parts_are_moved_and_gone_on_with(tmp_path, stride):
    """SIGKILL at steps that touch a file or run SQL, twice in a row: the file is the same to the byte, or not there."""
    script = [sys.executable, HERE / "sqlite_kills.py", str(tmp_path), str(stride)]
    ended = subprocess.run(script, cwd=HERE.parents[2], capture_output=True, timeout=800, check=False, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 5
