"""Disks, mounts and locks that fail for a while: no record is at fault, and none is passed over."""

import errno
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from items import read

from cluster.sources import SourceUnavailable, check_unchanged, open_source, sqlite_table
from cluster.sources.sqlite_catalog import find_table
from cluster.sources.unread import Unread


def test_a_link_to_what_is_not_mounted_is_not_passed_over(tmp_path):
    (tmp_path / "a.jsonl").write_text("1\n")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "not mounted" / "b.jsonl")
    source = open_source(tmp_path)
    assert [item.payload for item in read(source)] == [1]
    assert [(one.place, one.reason) for one in source.not_read()] == [(f"{tmp_path}/b.jsonl", "link_to_nothing")]
    assert Unread.of(source).faults == 1


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ENOTCONN, errno.EMFILE, errno.ENOMEM])
def test_a_mount_that_fails_gives_no_dead_letters(tmp_path, monkeypatch, code):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a__note.json").write_text(json.dumps({"payload": 1}))
    source = open_source(tmp_path)
    (shard,) = source.plan()

    def fail(_path):
        raise OSError(code, "fails")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(SourceUnavailable, match="a__note"):
        list(source.read(shard))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "sqlite"])
def test_nor_is_the_source_said_to_have_changed(tmp_path, monkeypatch, kind):
    path = tmp_path / "a"
    if kind == "jsonl":
        path.write_text("1\n")
    elif kind == "parquet":
        pq.write_table(pa.table({"payload": ["x"]}), path)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("CREATE TABLE t(payload); INSERT INTO t VALUES('x')")
    source = open_source(path, reader=kind)
    (shard,) = source.plan()

    def fail(*_, **__):
        raise OSError(errno.ESTALE, "fails")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        with pytest.raises(SourceUnavailable):
            list(source.read(shard))
    monkeypatch.setattr(Path, "stat", fail)
    with pytest.raises(SourceUnavailable):
        check_unchanged(shard)


class Locked(sqlite3.Connection):
    """Another program has locked the file when its rowid is looked for."""

    def execute(self, sql, *values):
        if "LIMIT 0" in sql:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(sql, *values)


def test_a_lock_does_not_change_by_what_rows_are_found(tmp_path):
    """Else a part of the table that was planned by rowid would be read by its primary key: twice, or not at all."""
    connection = sqlite3.connect(tmp_path / "a.db", factory=Locked)
    connection.text_factory = sqlite_table.Text
    try:
        connection.executescript("CREATE TABLE t(id TEXT PRIMARY KEY, payload)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            find_table(connection, "t", "a.db")
    finally:
        connection.close()
