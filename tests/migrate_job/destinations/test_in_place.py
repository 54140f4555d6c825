"""Migration in place: what becomes of each record file, and what commit and rollback leave."""

import fcntl
import json
import os
import stat
import threading

import pytest
import synthetic
from here import migrate_here
from items import read as read_source
from old_stores import KEY, put, write_old_store

from cluster.errors import DestinationError
from cluster.sources import Record
from cluster.sources.legacy import LegacyStore
from migrate_job.destinations import InPlace, ParquetParts, in_place, in_place_source
from migrate_job.destinations.in_place_end import commit, rollback
from migrate_job.destinations.in_place_files import StoreFolders, originals
from migrate_job.destinations.in_place_source import InPlaceRecords
from nbmf import compat, json_text, store
from nbmf.encryption import is_envelope
from nbmf.payload import to_canonical
from nbmf.router import Router, Routing
from nbmf.store.folder import LocalFolder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(in_place_source, "_SHARD_FILES", 4)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def old(tmp_path):
    root = tmp_path / "store"
    good, bad = write_old_store(root)
    return root, good, bad


def migrate(root, **options):
    folders = StoreFolders(root)
    return migrate_here(InPlaceRecords(root, KEY, **options), folders.run, InPlace(root, KEY))


def records(root):
    return {path.name: path.read_bytes() for path in (root / "records").iterdir()}


def read(root, names):
    with store.open(root, key=KEY) as opened:
        return {name: to_canonical(opened.get(*name).payload()) for name in names}


def canonical(good):
    return {name: to_canonical(payload) for name, payload in good.items()}


def total(counts, name):
    return sum(one[name] for one in counts)


def test_good_records_hold_blobs_and_bad_ones_are_untouched(old):
    root, good, bad = old
    before = records(root)
    counts = migrate(root)
    after = records(root)
    untouched = {*bad, "preview__note.json", "done__note.json"}
    assert {name for name in before if before[name] == after[name]} == untouched
    assert read(root, good) == canonical(good)
    assert (total(counts, "migrated"), total(counts, "previews"), total(counts, "dead")) == (10, 1, 2)
    letters = [json.loads(line) for line in (root / ".nbmf/run/dead-letters.jsonl").read_text().splitlines()]
    assert {letter["place"].rpartition("/")[2]: letter["reason"] for letter in letters} == bad
    file = json_text.loads(after["plain3__note.json"].decode())
    assert compat.decode(file["payload"]) == good["plain3", "note"]
    assert (file["meta"], file["cls"]) == ({"of": "plain3"}, "note")


def test_encrypted_records_stay_encrypted(old):
    root, _, _ = old
    before = records(root)
    migrate(root)
    envelope = json.loads((root / "records" / "secret__note.json").read_text())
    assert is_envelope(envelope)
    inside = json.loads(KEY.decrypt(envelope))
    assert compat.decode(inside["payload"]) == "words that are encrypted"
    assert originals_of(root)["secret__note.json"] == before["secret__note.json"]


def originals_of(root):
    return {path.name: path.read_bytes() for path in (root / ".nbmf/run/_originals").rglob("*.json")}


def test_the_originals_of_what_was_replaced_are_kept(old):
    root, _, _ = old
    before = records(root)
    migrate(root)
    after = records(root)
    assert originals_of(root) == {name: before[name] for name in before if before[name] != after[name]}


def test_mode_and_owner_stay(old):
    root, _, _ = old
    path = root / "records" / "plain0__note.json"
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    migrate(root)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    rollback(root)
    restored = path.stat()
    assert (restored.st_mode, restored.st_uid, restored.st_mtime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime_ns,
    )


def test_commit(old):
    root, good, bad = old
    migrate(root)
    after = records(root)
    assert commit(root) == 9
    assert records(root) == after
    assert read(root, good) == canonical(good)
    left = {str(path.relative_to(root / ".nbmf")) for path in (root / ".nbmf").rglob("*")}
    assert left == {"history", "history/0001", *(f"history/0001/{name}" for name in
                    ("report.json", "report.html", "dead-letters.jsonl"))}  # fmt: skip
    for end in (commit, rollback):
        with pytest.raises(DestinationError, match="no migration in place"):
            end(root)
    counts = migrate(root)  # again: what is done is passed over, what was bad is tried again
    assert (total(counts, "migrated"), total(counts, "dead")) == (1, len(bad))
    assert records(root) == after


def test_rollback(old):
    root, _, _ = old
    before = synthetic.snapshot(root)
    migrate(root)
    found = rollback(root)
    assert (found.restored, found.written_since, found.removed_since) == (9, [], [])
    left = synthetic.snapshot(root)
    assert {name: data for name, data in left.items() if not name.startswith(".nbmf")} == before
    assert json.loads(left[".nbmf/history/0001/rollback.json"]) == found.to_dict()
    assert migrate(root)
    rollback(root)
    assert (root / ".nbmf/history/0002/rollback.json").exists()


def test_a_rollback_keeps_what_the_application_wrote_since(old):
    root, _, _ = old
    before = records(root)
    migrate(root)
    mine = put(root, "plain1", "note", {"written": "later"}).read_bytes()
    in_blob = put(root, "secret", "note", compat.encode("later too", "lossless"), KEY).read_bytes()
    (root / "records" / "plain2__note.json").unlink()
    put(root, "another", "note", "of now")
    found = rollback(root)
    assert found.written_since == ["plain1__note.json", "secret__note.json"]
    assert found.removed_since == ["plain2__note.json"]
    after = records(root)
    assert after["plain1__note.json"] == mine
    assert after["secret__note.json"] == in_blob
    assert "plain2__note.json" not in after
    assert "another__note.json" in after
    untouched = before.keys() - {"plain1__note.json", "plain2__note.json", "secret__note.json"}
    assert all(after[name] == before[name] for name in untouched)
    kept = {path.name: path.read_bytes() for path in (root / ".nbmf/superseded").iterdir()}
    assert found.originals == str(root / ".nbmf/superseded")
    assert kept == {name: before[name] for name in (*found.written_since, *found.removed_since)}


def test_originals_that_were_set_aside_are_not_overwritten(old):
    root, _, _ = old
    for text in ("one", "two"):
        put(root, "plain1", "note", text)
        migrate(root)
        put(root, "plain1", "note", f"after {text}")
        rollback(root)
    kept = sorted((root / ".nbmf/superseded").iterdir())
    assert [path.name for path in kept] == ["plain1__note.json", "plain1__note.json.1"]
    assert [json.loads(path.read_text())["payload"] for path in kept] == ["one", "two"]


class Interfering(InPlace):
    """The application writes between reading and replacing."""

    def write(self, folder, index, rows):
        for row in rows:
            if row["key"] == "plain1":
                put(self.store, "plain1", "note", "written meanwhile")
            if row["key"] == "plain2":
                (self.store / "records" / "plain2__note.json").unlink()
        return super().write(folder, index, rows)

    def _replace(self, path, new, original):
        if path.name == "plain3__note.json":
            put(self.store, "plain3", "note", "written at the last moment")
        return super()._replace(path, new, original)


def test_what_is_written_during_the_migration_is_left(old):
    root, good, _ = old
    counts = migrate_here(InPlaceRecords(root, KEY), StoreFolders(root).run, Interfering(root, KEY))
    assert total(counts, "migrated") == 7
    assert sum(one["dead_reasons"].get("changed", 0) for one in counts) == 3
    del good["plain2", "note"]
    good |= {("plain1", "note"): "written meanwhile", ("plain3", "note"): "written at the last moment"}
    assert read(root, good) == canonical(good)
    assert not {"plain1__note.json", "plain2__note.json", "plain3__note.json"} & originals_of(root).keys()
    rollback(root)
    assert read(root, good) == canonical(good)


def test_what_was_written_between_two_runs_is_not_lost(old):
    """Killed in the middle of a shard, written to, and gone on with: the shard is done again with what is there."""
    root, good, _ = old
    migrate(root)
    (root / ".nbmf/run/report.json").unlink()
    for done in (root / ".nbmf/run/_done").iterdir():
        done.unlink()
    put(root, "plain1", "note", "written later")
    (root / "records" / "plain2__note.json").unlink()
    counts = migrate(root)
    assert sum(one["dead_reasons"].get("changed", 0) for one in counts) == 1
    assert read(root, [("plain1", "note")]) == canonical({("plain1", "note"): "written later"})
    rollback(root)
    del good["plain2", "note"]
    assert read(root, good) == canonical(good | {("plain1", "note"): "written later"})


def test_records_that_are_new_are_no_part_of_a_run_that_has_begun(old):
    root, _, _ = old
    source = InPlaceRecords(root, KEY)
    migrate(root)
    put(root, "another", "note", "of now")
    assert "another__note.json" not in {name for part in source.plan() for name in part.span}
    assert migrate(root) == []
    rollback(root)
    assert "another__note.json" in {name for part in source.plan() for name in part.span}


def test_filters(old):
    root, _, _ = old
    folders = StoreFolders(root)
    counts = migrate_here(InPlaceRecords(root, KEY), folders.run, InPlace(root, KEY), classes=("tool__call",))
    assert total(counts, "migrated") == 1
    assert originals_of(root).keys() == {"stub__tool__call.json"}
    assert rollback(root).restored == 1


def test_links_and_large_files_are_left(old):
    root, _, _ = old
    (root / "records" / "plain1__note.json").rename(root / "elsewhere.json")
    (root / "records" / "plain1__note.json").symlink_to(root / "elsewhere.json")
    put(root, "large", "note", "x" * 5000)
    before = records(root)
    counts = migrate(root, max_record_bytes=4000)
    assert sum(one["dead_reasons"].get("too_large", 0) for one in counts) == 1
    assert sum(one["dead_reasons"].get("unreadable", 0) for one in counts) == 1
    assert (root / "records" / "plain1__note.json").is_symlink()
    assert records(root)["large__note.json"] == before["large__note.json"]


def test_a_shard_can_be_read_record_by_record(old):
    root, _, _ = old
    source = InPlaceRecords(root, KEY)
    whole = [item for part in source.plan() for item in source.read(part)]
    single = [item for part in source.plan() for _, one in source.split(part) for item in source.read(one)]
    assert single == whole
    places = [place for part in source.plan() for place, _ in source.split(part)]
    assert sorted(places) == sorted(map(str, (root / "records").iterdir()))


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_commit_of_what_is_not_finished(old):
    root, _, _ = old
    migrate(root)
    (root / ".nbmf/run/report.json").unlink()
    before = synthetic.snapshot(root)
    with pytest.raises(DestinationError, match="is not finished"):
        commit(root)
    assert synthetic.snapshot(root) == before
    assert rollback(root).restored == 9


def test_one_at_a_time(old):
    root, _, _ = old
    migrate(root)
    with (root / ".nbmf/run/_lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for end in (commit, rollback):
            with pytest.raises(DestinationError, match="is at work"):
                end(root)


@pytest.mark.parametrize(("state", "refused"), [("committing", rollback), ("rolling-back", commit)])
def test_an_end_that_was_begun_is_brought_to_its_end(old, state, refused):
    root, _, _ = old
    migrate(root)
    (root / ".nbmf/run").rename(root / ".nbmf" / state)
    for begin in (migrate, refused):
        with pytest.raises(DestinationError, match=state):
            begin(root)
    (commit if refused is rollback else rollback)(root)
    migrate(root)


def test_a_worker_that_outlived_its_run_finds_nothing_to_write_to(old):
    root, good, _ = old
    migrate(root)
    target, source = InPlace(root, KEY), InPlaceRecords(root, KEY)
    run = StoreFolders(root).run
    part = source.plan()[0]
    rows = [{"place": str(root / "records" / name), "preview": False, "blob": b"", "key": name, "source_bytes": 0}
            for name in part.span[1:]]  # fmt: skip
    rollback(root)
    before = records(root)
    with pytest.raises(FileNotFoundError):
        target.write(LocalFolder(run), 0, rows)
    with pytest.raises(FileNotFoundError):
        list(source.read(part))
    assert records(root) == before
    assert not originals(run, 0).exists()
    assert read(root, good) == canonical(good)


def test_a_store_migrated_in_place_is_a_source_of_its_payloads(old, tmp_path):
    root, good, bad = old
    kept = read_source(LegacyStore(root, key=KEY))
    before = {(r.key, r.record_class): (to_canonical(r.payload), r.meta) for r in kept if isinstance(r, Record)}
    migrate(root)
    assert sum(b"nbmf-2" in content for content in records(root).values()) == len(good) - 2  # a preview, an envelope
    commit(root)
    report = migrate_here(LegacyStore(root, key=KEY), tmp_path / "new", ParquetParts(KEY))
    assert total(report, "dead") == len(bad)
    with store.open(tmp_path / "new", key=KEY) as opened:
        after = {(r.key, r.record_class): (to_canonical(r.payload()), r.meta) for r in opened}
    assert after == before
    assert {name: payload for name, (payload, _) in after.items()} == canonical(good)


def test_a_store_that_a_router_writes(old):
    """From a share of the keys to all of them, then what was there before; and back."""
    root, good, _ = old
    written = {(f"live{n}", "note"): {"n": n, "text": "words of the live system"} for n in range(12)}
    router = Router(root, key=KEY)
    for percent, mode in ((100, "shadow"), (50, "read_through"), (50, "dual")):
        router.routing = Routing(mode, percent)
        for name, payload in written.items():
            router.write(*name, payload)
    router.routing = Routing("read_through")
    router.write("live0", "note", written["live0", "note"])
    migrate(root)
    everything = written | good
    assert read(root, everything) == canonical(everything)
    del everything["preview", "note"]
    assert {name: to_canonical(router.read(*name)) for name in everything} == canonical(everything)
    router.write("live1", "note", "since")
    rollback(root)
    assert router.read("live1", "note") == "since"
    assert read(root, good) == canonical(good)
    migrate(root)
    commit(root)
    assert read(root, good) == canonical(good)
    assert router.read("live1", "note") == "since"


def test_a_write_of_a_router_is_not_lost_to_the_migration(old, monkeypatch):
    """Not even one between the last look at a file and its rename: the router waits until that is done."""
    root, _, _ = old
    router, threads = Router(root, key=KEY), []
    look = in_place.read_or_none

    def write_now(path):
        found = look(path)
        if path.name == "plain3__note.json" and not threads:
            threads.append(threading.Thread(target=router.write, args=("plain3", "note", "of the application")))
            threads[0].start()
            threads[0].join(0.3)
            assert threads[0].is_alive()
        return found

    monkeypatch.setattr(in_place, "read_or_none", write_now)
    migrate(root)
    threads[0].join()
    assert router.read("plain3", "note") == "of the application"
