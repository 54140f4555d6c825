"""What can go wrong with the files of a run itself: a full disk, files that are gone, an end that was cut off."""

import errno
import json
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
import synthetic
from here import migrate_here
from old_stores import KEY, write_old_store

from cluster.errors import DestinationError
from cluster.sources import SourceUnavailable, jsonl, open_source
from migrate_job.destinations import InPlace, ParquetParts, SqliteFile, in_place_end, in_place_source
from migrate_job.destinations import sqlite as sqlite_destination
from migrate_job.destinations.in_place_end import commit, rollback
from migrate_job.destinations.in_place_files import StoreFolders
from migrate_job.destinations.in_place_source import InPlaceRecords
from migrate_job.destinations.sqlite import run_folder
from nbmf import store
from nbmf.store.files import write_whole
from nbmf.store.record_file import DamagedRecordFile


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 10)
    monkeypatch.setattr(in_place_source, "_SHARD_FILES", 4)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(f'["{random.Random(n).randbytes(400).hex()}"]\n' for n in range(45)))
    return open_source(tmp_path / "a.jsonl")


@pytest.fixture
def root(tmp_path):
    write_old_store(tmp_path / "store")
    return tmp_path / "store"


def migrate(root):
    return migrate_here(InPlaceRecords(root, KEY), StoreFolders(root).run, InPlace(root, KEY))


def records(root):
    return {path.name: path.read_bytes() for path in (root / "records").iterdir()}


@pytest.fixture
def full_disk(monkeypatch):
    """A function: from now on files of a name are only half written, and that is told."""
    write_text = Path.write_text

    def fill(name):
        def half(path, text, *args, **options):
            if not path.name.startswith(name):
                return write_text(path, text, *args, **options)
            write_text(path, text[: len(text) // 2], *args, **options)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        monkeypatch.setattr(Path, "write_text", half)

    return fill


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_report_that_did_not_fit_is_none(root, full_disk, monkeypatch, name):
    """Else a migration in place could be committed whose report nobody can read."""
    with monkeypatch.context():
        full_disk(name)
        with pytest.raises(OSError, match="No space left"):
            migrate(root)
    assert not (StoreFolders(root).run / "report.json").exists()
    with pytest.raises(DestinationError, match="is not finished"):
        commit(root)


def test_a_plan_is_on_disk_before_it_has_its_name(source, tmp_path, monkeypatch):
    """Else it could be empty after a power cut, and the run could not go on."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink().name))
    migrate_here(source, tmp_path / "new", ParquetParts())
    assert any(name.startswith("_plan.json.") for name in synced)


def test_a_run_that_was_killed_as_it_wrote_its_plan_goes_on(source, tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("_plan.json.new", "_plan.json.tmp.7"):
        (tmp_path / "new" / name).write_text("{")
    migrate_here(source, tmp_path / "new", ParquetParts())
    assert not (tmp_path / "new" / "_plan.json.tmp.7").exists()
    assert len(list(store.iterate(tmp_path / "new"))) == 45


class LosingNodes(ParquetParts):
    """Of each shard, another worker was lost with its node as it wrote each of the files."""

    LEFT = (
        "part-000001.parquet",
        "_dead/000001.jsonl",
        "_done/000001.json",
        "_plan.json",
        "_index.arrow",
        "report.json",
    )

    def write(self, folder, index, rows):
        for number, name in enumerate(self.LEFT):
            (folder.path / f"{name}.tmp.{index}{number}").write_bytes(b"half")
        return super().write(folder, index, rows)


def test_nothing_is_left_of_workers_that_were_lost_during_the_run(source, tmp_path):
    migrate_here(source, tmp_path / "new", LosingNodes())
    migrate_here(source, tmp_path / "unbroken", ParquetParts())
    left, unbroken = (synthetic.snapshot(tmp_path / name) for name in ("new", "unbroken"))
    assert list(left) == list(unbroken)
    timed = {name for name in left if name.startswith(("_done/", "report."))}
    assert {name: data for name, data in left.items() if name not in timed} == {
        name: data for name, data in unbroken.items() if name not in timed
    }


def test_nothing_is_left_of_them_in_place(root, monkeypatch):
    copy, left = in_place_source.copy_like, []

    def lose(content, path, status, **options):
        left.append(path.with_name(f"{path.name}.tmp.{len(left)}"))
        left[-1].write_bytes(b"half")
        return copy(content, path, status, **options)

    monkeypatch.setattr(in_place_source, "copy_like", lose)
    migrate(root)
    assert len(left) == 9
    assert list(StoreFolders(root).run.rglob("*.tmp.*")) == []
    assert rollback(root).restored == 9


def test_a_worker_that_goes_on_after_its_run_harms_nothing(source, tmp_path):
    """It was lost with its node as far as the run knows, and finds its scratch file gone."""
    counts = tmp_path / "new" / "_done" / "000001.json"

    def late(scratch):
        scratch.write_text("{}")
        migrate_here(source, tmp_path / "new", ParquetParts())

    migrate_here(source, tmp_path / "new", ParquetParts())
    with pytest.raises(FileNotFoundError):
        write_whole(counts, late)
    assert json.loads(counts.read_text())["dead"] == 0
    assert list(counts.parent.glob("*.tmp.*")) == []
    assert len(list(store.iterate(tmp_path / "new"))) == 45


def test_a_part_that_is_gone_is_not_passed_over(source, tmp_path):
    migrate_here(source, tmp_path / "new", ParquetParts())
    before = [record.payload() for record in store.iterate(tmp_path / "new")]
    (tmp_path / "new" / "part-000002.parquet").unlink()
    with pytest.raises(DestinationError, match=r"part-000002\.parquet is gone.*_done/000002\.json"):
        migrate_here(source, tmp_path / "new", ParquetParts())
    (tmp_path / "new" / "_done" / "000002.json").unlink()
    migrate_here(source, tmp_path / "new", ParquetParts())
    assert [record.payload() for record in store.iterate(tmp_path / "new")] == before


def test_a_sqlite_file_for_which_there_is_no_room(source, tmp_path, monkeypatch):
    target = SqliteFile(tmp_path / "new.sqlite")
    build = sqlite_destination._build

    def without_room(connection, folder, shards):
        connection.execute("PRAGMA max_page_count = 6")
        build(connection, folder, shards)

    monkeypatch.setattr(sqlite_destination, "_build", without_room)
    with pytest.raises(DestinationError, match=r"building\.sqlite: database or disk is full"):
        migrate_here(source, run_folder(target.file), target)
    assert not target.file.exists()
    monkeypatch.setattr(sqlite_destination, "_build", build)
    migrate_here(source, run_folder(target.file), target)
    with store.open(target.file) as opened:
        assert len(opened) == len(list(opened)) == 45


def test_a_damaged_part_is_named_by_the_sqlite_file_it_was_for(source, tmp_path, monkeypatch):
    target = SqliteFile(tmp_path / "new.sqlite")

    def stop(*_args):
        raise sqlite3.Error("stop")

    monkeypatch.setattr(sqlite_destination, "_build", stop)
    with pytest.raises(DestinationError, match="stop"):
        migrate_here(source, run_folder(target.file), target)
    monkeypatch.undo()
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 10)
    (run_folder(target.file) / "part-000000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DestinationError, match=r"part-000000\.parquet"):
        migrate_here(source, run_folder(target.file), target)


# --- in place -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [commit, rollback])
def test_nothing_is_left_of_an_end_that_was_killed_while_it_removed_originals(root, monkeypatch, end):
    migrate(root)
    remove = shutil.rmtree

    def killed(path, *args, **options):
        if Path(path).name == "ended" and Path(path).exists():
            raise KeyboardInterrupt
        remove(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(in_place_end.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            end(root)
    assert list((root / ".nbmf" / "ended").rglob("*.json")) != []
    with pytest.raises(DestinationError, match="no migration in place"):
        end(root)
    assert {path.name for path in (root / ".nbmf").iterdir()} == {"history"}


def test_a_rollback_restores_all_that_was_replaced(root):
    """Whatever has become of the list of names."""
    before = records(root)
    migrate(root)
    names = StoreFolders(root).run / "_names.jsonl"
    names.write_text(names.read_text().split("\n")[0] + "\n")
    assert rollback(root).restored == 9
    assert records(root) == before


def test_a_record_that_is_removed_while_it_is_read_stops_nothing(root, monkeypatch):
    """The application removes two at the very moment: one when it is read, one when it is looked at again."""
    open_file, left = Path.open, {"plain1__note.json": 1, "plain2__note.json": 2}

    def opened(path, *args, **options):
        file = open_file(path, *args, **options)
        if path.parent.name == "records" and path.name in left:
            left[path.name] -= 1
            if left[path.name] == 0:
                path.unlink()
        return file

    monkeypatch.setattr(Path, "open", opened)
    counts = migrate(root)
    assert sum(one["dead_reasons"].get("changed", 0) for one in counts) == 2


def test_a_key_that_is_there_twice_is_left(root):
    path = root / "records" / "twice__note.json"
    path.write_text('{"payload": {"a": 1, "a": 2}, "cls": "note"}')
    before = path.read_bytes()
    counts = migrate(root)
    assert sum(one["dead_reasons"].get("duplicate_key", 0) for one in counts) == 1
    assert path.read_bytes() == before
    with (
        store.open(root, key=KEY) as opened,
        pytest.raises(DamagedRecordFile, match=r"the object at .* has the key 'a' more than once"),
    ):
        opened.get("twice")


def test_a_mount_that_fails_gives_no_dead_letters(root, monkeypatch):
    source = InPlaceRecords(root, KEY)
    shard = source.plan()[0]

    open_file = Path.open

    def fail(path, *args, **options):
        if path.parent.name == "records":
            raise OSError(errno.ESTALE, "Stale file handle")
        return open_file(path, *args, **options)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(SourceUnavailable, match="Stale"):
        list(source.read(shard))


def test_a_file_whose_owner_cannot_be_kept_is_left(root, monkeypatch):
    """Who migrates may write to the folder, but is neither the owner of the file nor root."""

    def refuse(*_args):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    before = records(root)
    counts = migrate(root)
    assert sum(one["dead_reasons"].get("unreadable", 0) for one in counts) == 9
    letters = (StoreFolders(root).run / "dead-letters.jsonl").read_text().splitlines()
    assert any("owner" in json.loads(letter)["detail"] for letter in letters)
    assert records(root) == before
