"""Migrations through Ray: every good record equal, every bad one named, nothing lost or repeated when killed."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import synthetic

from cluster.errors import DestinationError
from cluster.sources import LegacyStore, jsonl, legacy, open_source
from migrate_job import job
from migrate_job.coding import run as coding_run
from migrate_job.coding import shard
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from nbmf import engine, store
from nbmf.codec import WITHOUT_VERSION
from nbmf.effort import EffortSetting
from nbmf.engine import Engine
from nbmf.fidelity_policy import FidelityPolicy
from nbmf.payload import to_canonical
from nbmf.store.folder import LocalFolder

MAX_RECORD_BYTES = 30_000


def results(destination):
    """What a migration is, without its lock and the seconds it took."""
    found = synthetic.snapshot(destination)
    left_out = ("_lock", job.REPORT_PAGE)  # the page is made of the report
    return {str(name): without_seconds(str(name), data) for name, data in found.items() if str(name) not in left_out}


def without_seconds(name, data):
    return json.loads(data) | {"seconds": 0} if name.endswith(".json") else data


def in_line_order(destination):
    """Records whose keys are, or end with, the number of their line: parts are sorted by key, as text."""
    return sorted(store.iterate(destination), key=lambda record: int(record.key.rpartition(":")[2]))


def letters(destination):
    return [json.loads(line) for line in (destination / job.DEAD_LETTERS).read_text().splitlines()]


@pytest.fixture
def source(old_store, small_shards):
    return LegacyStore(old_store.root, MAX_RECORD_BYTES)


@pytest.fixture
def migrate(version):
    def run(source, destination, version_id=version.id, **options):
        return job.run(source, destination, version.registry.location, version_id, **options)

    return run


@pytest.fixture
def migrated(source, old_store, migrate, tmp_path):
    """(report, destination, counts of the shards as they were told)."""
    before = synthetic.snapshot(old_store.root)
    told, plan = [], []
    report = migrate(source, tmp_path / "new", on_plan=lambda *n: plan.append(n), on_shard=told.append)
    assert synthetic.snapshot(old_store.root) == before
    assert plan == [(len(source.plan()), 0)]
    assert len(told) == len(source.plan()) > 3
    return report, tmp_path / "new", told


def test_every_good_record_is_read_back_equal(migrated, old_store, version):
    _, destination, _ = migrated
    found = list(store.iterate(destination))
    by_key = {(r.key, r.record_class): r for r in found}
    assert len(by_key) == len(found)
    assert by_key.keys() == old_store.good.keys() | old_store.previews.keys()
    for name, payload in (old_store.good | old_store.previews).items():
        assert to_canonical(by_key[name].payload(version.codec)) == to_canonical(payload)
        assert by_key[name].preview == (name in old_store.previews)
    assert [by_key[name].meta["n"] for name in old_store.good] == list(range(len(old_store.good)))
    assert {by_key[name].meta for name in old_store.previews} == {None}


def test_every_bad_record_is_a_dead_letter(migrated, old_store):
    _, destination, _ = migrated
    found = {Path(letter["place"]).name: letter for letter in letters(destination)}
    assert {name: letter["reason"] for name, letter in found.items()} == old_store.bad
    assert all(letter["detail"] for letter in found.values())
    assert found["damaged03__note.json"]["key"] == "damaged03"


def test_the_counts_add_up(migrated, old_store, version):
    report, destination, told = migrated
    assert report.version == version.id
    assert report.migrated == len(old_store.good) + len(old_store.previews)
    assert report.previews == len(old_store.previews)
    assert report.dead == len(old_store.bad)
    assert report.dead_reasons == Counter(old_store.bad.values())
    names = [p for p in (old_store.root / "records").iterdir() if p.suffix == ".json"]
    assert report.records == report.migrated + report.dead == len(names)
    rows = list(store.iterate(destination))
    assert report.blob_bytes == sum(len(r.blob) for r in rows)
    payloads = [*old_store.good.values(), *old_store.previews.values()]
    assert report.payload_bytes == sum(len(to_canonical(p)[1]) for p in payloads)
    good_files = [p for p in names if p.name not in old_store.bad]
    assert report.source_bytes == sum(p.stat().st_size for p in good_files)
    assert json.loads((destination / job.REPORT).read_text()) == report.to_dict()
    for totals in (report.classes, report.coders):
        for name in ("payload_bytes", "blob_bytes"):
            assert sum(one[name] for one in totals.values()) == getattr(report, name)
        assert sum(one["records"] for one in totals.values()) == report.migrated
    by_class = Counter(record_class for _, record_class in old_store.good.keys() | old_store.previews.keys())
    assert {name: one["records"] for name, one in report.classes.items()} == by_class
    assert report.undetailed == 0
    assert report.seconds > 0
    for name in ("records", "migrated", "dead", "blob_bytes"):
        assert sum(counts[name] for counts in told) == getattr(report, name)


def test_running_again_does_nothing_and_tells_the_same(migrated, source, migrate):
    report, destination, _ = migrated
    before = results(destination)
    plan, told = [], []
    assert migrate(source, destination, on_plan=lambda *n: plan.append(n), on_shard=told.append) == report
    assert told == []
    assert plan == [(len(source.plan()), len(source.plan()))]
    assert results(destination) == before


@pytest.mark.parametrize("lost", ["_done/000001.json", "part-000002.parquet _done/000002.json", "dead-letters.jsonl"])
def test_what_is_not_done_is_done_again_to_the_byte(migrated, source, migrate, lost):
    report, destination, _ = migrated
    before = results(destination)
    for name in lost.split():
        (destination / name).unlink()
    for name in ("part-000001.parquet.tmp.1", "_done/000001.json.tmp.23", "_dead/000001.jsonl.tmp.4"):
        (destination / name).write_bytes(b"cut off")
    told = []
    assert migrate(source, destination, on_shard=told.append) == report
    assert len(told) == ("_done" in lost)
    assert results(destination) == before


def test_only_scratch_files_of_runs_are_removed_and_not_while_another_is_at_work(migrated, source, migrate):
    _, destination, _ = migrated
    ours = [destination / "part-000001.parquet.tmp.1", destination / "_dead" / "000001.jsonl.tmp.4"]
    others = [destination / "notes.tmp.txt", destination / "notes.tmp.7"]
    for path in (*ours, *others):
        path.write_bytes(b"")
    with (destination / "_lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DestinationError):
            migrate(source, destination)
    assert all(path.exists() for path in (*ours, *others))
    migrate(source, destination)
    assert [path.exists() for path in (*ours, *others)] == [False, False, True, True]


def test_json_lines_with_fields(migrate, version, tmp_path):
    records = synthetic.records(50, seed=22)
    path = synthetic.write_jsonl(
        tmp_path / "memory.jsonl",
        [{"id": n, "kind": "note", "data": r, "lang": "en"} for n, r in enumerate(records)],
    )
    with path.open("ab") as file:
        file.write(b'{"id": 50}\n{\n\n"text"\n')
    source = open_source(path, payload_field="data", key_field="id", class_field="kind")
    report = migrate(source, tmp_path / "new")
    found = in_line_order(tmp_path / "new")
    assert [(r.key, r.record_class, r.meta) for r in found] == [(str(n), "note", {"lang": "en"}) for n in range(50)]
    assert [r.payload(version.codec) for r in found] == records
    assert (report.migrated, report.dead_reasons) == (50, {"no_payload": 2, "not_json": 1})
    assert [letter["key"] for letter in letters(tmp_path / "new")] == [f"memory.jsonl:{n}" for n in (51, 52, 54)]
    assert report.blob_bytes < report.payload_bytes / 3


def test_without_a_version_blobs_need_none(migrate, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(20, seed=23))
    report = migrate(open_source(path), tmp_path / "new", "none")
    assert (report.version, report.migrated) == ("none", 20)
    assert [r.payload() for r in in_line_order(tmp_path / "new")] == synthetic.records(20, seed=23)


def test_a_source_without_records(migrate, tmp_path):
    (tmp_path / "old" / "records").mkdir(parents=True)
    report = migrate(LegacyStore(tmp_path / "old"), tmp_path / "new")
    assert (report.records, report.migrated, report.dead) == (0, 0, 0)
    assert list(store.iterate(tmp_path / "new")) == []
    assert letters(tmp_path / "new") == []


def test_a_blob_that_does_not_come_back_is_a_dead_letter(old_store, version, tmp_path, monkeypatch):
    from nbmf import Codec

    class Forgetful(Codec):
        def decode_batch(self, blobs, **_):
            return [value + "!" if type(value) is str else value for value in super().decode_batch(blobs)]

    monkeypatch.setattr(shard, "load_codec", lambda *_: Forgetful())
    monkeypatch.setattr(engine, "_engine", None)  # which a worker sets, for its process
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", ["text", [1]])
    source = open_source(path)
    plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path / "new"), "unused", "none")
    plan.destination.path.mkdir()
    plan.claim()
    counts = shard.migrate_shard(plan, 0)
    assert (counts["migrated"], counts["dead_reasons"]) == (1, {"verification_failed": 1})
    (row,) = store.iterate(plan.destination.path)
    assert row.payload() == [1]


def test_a_worker_sets_the_engine_and_warms_the_version(tmp_path, monkeypatch):
    from nbmf import Codec

    warm = []
    monkeypatch.setattr(Codec, "warm_up", lambda codec: warm.append((codec, engine.engine())))
    monkeypatch.setattr(engine, "_engine", None)
    shard.load_codec.cache_clear()
    source = open_source(synthetic.write_jsonl(tmp_path / "a.jsonl", [1]))
    (tmp_path / "new").mkdir()
    plan = Plan(
        source,
        tuple(source.plan()),
        LocalFolder(tmp_path / "new"),
        str(tmp_path),
        "none",
        Options(engine=Engine("cpu", 3)),
    )
    plan.claim()
    for _ in range(2):
        shard.migrate_shard(plan, 0)
    assert warm == [(WITHOUT_VERSION, Engine("cpu", 3))]


# --- what is refused ----------------------------------------------------------------------------------------------


def test_only_one_run_at_a_time(migrated, source, migrate):
    _, destination, _ = migrated
    with (destination / "_lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DestinationError, match="another migration is at work"):
            migrate(source, destination)
    migrate(source, destination)


def test_another_plan_is_refused(migrated, source, migrate, version, tmp_path, monkeypatch):
    report, destination, _ = migrated
    before = results(destination)
    copy = tmp_path / "copy"
    shutil.copytree(source.root, copy, symlinks=True)
    (copy / "records" / "one_more__note.json").write_text('{"payload": 1}')
    with pytest.raises(DestinationError, match="another source"):
        migrate(LegacyStore(copy, MAX_RECORD_BYTES), destination)
    with pytest.raises(DestinationError, match="version, fidelity or effort"):
        migrate(source, destination, "none")
    with pytest.raises(DestinationError):
        migrate(source, destination, options=Options(FidelityPolicy("semantic")))
    with pytest.raises(DestinationError):
        migrate(source, destination, options=Options(effort=EffortSetting("max")))
    with pytest.raises(DestinationError):
        migrate(source, destination, options=Options(effort=EffortSetting(latency_budget_ms=50)))
    with pytest.raises(DestinationError):
        migrate(LegacyStore(source.root, MAX_RECORD_BYTES + 1), destination)
    assert results(destination) == before
    assert migrate(source, destination) == report


def test_a_source_that_grew_is_refused(migrate, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1, 2])
    migrate(open_source(path), tmp_path / "new")
    with path.open("a") as file:
        file.write("3\n")
    with pytest.raises(DestinationError, match="another source"):
        migrate(open_source(path), tmp_path / "new")


@pytest.mark.parametrize("inside", ["new", "records/new", ".", "../old/new", "../link/new"])
def test_a_destination_inside_the_source(migrate, tmp_path, inside):
    (tmp_path / "old" / "records").mkdir(parents=True)
    (tmp_path / "old" / "records" / "k__c.json").write_text('{"payload": 1}')
    (tmp_path / "link").symlink_to(tmp_path / "old")
    before = synthetic.snapshot(tmp_path)
    with pytest.raises(DestinationError, match="inside the source"):
        migrate(LegacyStore(tmp_path / "old"), tmp_path / "old" / inside)
    assert synthetic.snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["letter.txt", "_done", "part-000000.parquet"])
def test_a_folder_of_something_else(migrate, tmp_path, name):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).touch()
    before = synthetic.snapshot(tmp_path / "mine")
    with pytest.raises(DestinationError, match="not empty"):
        migrate(open_source(path), tmp_path / "mine")
    assert synthetic.snapshot(tmp_path / "mine") == before


def test_a_folder_that_is_filled_before_it_is_claimed(tmp_path):
    """`run` looks before it takes the lock, and again when it has it."""
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    source = open_source(path)
    plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path / "new"), "unused", "none")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "letter.txt").touch()
    with pytest.raises(DestinationError, match="not empty"):
        plan.claim()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["letter.txt"]


def test_an_empty_folder_will_do(migrate, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    (tmp_path / "new").mkdir()
    assert migrate(open_source(path), tmp_path / "new").migrated == 1


@pytest.mark.parametrize("left", ["_lock", "_plan.json.new"])
def test_a_run_killed_before_it_had_a_plan_goes_on(migrate, tmp_path, left):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / left).write_text("{")
    assert migrate(open_source(path), tmp_path / "new").migrated == 1


def test_a_run_killed_right_after_its_plan_goes_on(migrate, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    migrate(open_source(path), tmp_path / "new")
    shutil.rmtree(tmp_path / "new" / "_done")
    shutil.rmtree(tmp_path / "new" / "_dead")
    assert migrate(open_source(path), tmp_path / "new").migrated == 1


# --- killed -------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from cluster.session import session
from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import run

address, source, destination, registry, version_id, after, shard_lines, little_bytes = sys.argv[1:]
jsonl._SHARD_LINES, run.LITTLE_BYTES = int(shard_lines), int(little_bytes)
done = 0

def on_shard(counts):
    global done
    done += 1
    if done == int(after):
        os.kill(os.getpid(), signal.SIGKILL)

with session(address):
    job.run(open_source(source), Path(destination), registry, version_id, on_shard=on_shard)
print("finished")
"""


@pytest.mark.parametrize(
    "little_bytes",
    [pytest.param(-1, id="on Ray", marks=pytest.mark.slow), pytest.param(coding_run.LITTLE_BYTES, id="here")],
)
def test_a_killed_run_goes_on_to_the_same_bytes(ray_session, version, migrate, little_bytes, tmp_path, monkeypatch):
    """SIGKILL in a process of its own, when some shards are done and some are not. On Ray and here come to the same."""
    shard_lines = 60
    monkeypatch.setattr(coding_run, "LITTLE_BYTES", little_bytes)
    monkeypatch.setattr(jsonl, "_SHARD_LINES", shard_lines)
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", synthetic.records(1200, seed=24))
    with path.open("ab") as file:
        file.write(b"{\n")
    before = path.read_bytes()
    source, destination = open_source(path), tmp_path / "killed"
    shards = len(source.plan())
    address = ray_session.get_runtime_context().gcs_address
    arguments = (address, path, destination, version.registry.location, version.id, 5, shard_lines, little_bytes)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "RAY_ADDRESS": ""},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    done = len(list((destination / "_done").glob("*.json")))
    assert 5 <= done < shards
    assert not (destination / job.REPORT).exists()
    plan = []
    report = migrate(source, destination, on_plan=lambda *n: plan.append(n))
    ((total, before_resuming),) = plan
    assert total == shards
    assert 5 <= before_resuming < shards
    monkeypatch.undo()
    monkeypatch.setattr(jsonl, "_SHARD_LINES", shard_lines)
    unbroken = migrate(source, tmp_path / "unbroken")
    assert (report.records, report.migrated, report.dead) == (1201, 1200, 1)
    assert report == unbroken
    assert results(destination) == results(tmp_path / "unbroken")
    assert [to_canonical(r.payload(version.codec)) for r in in_line_order(destination)] == [
        to_canonical(r) for r in synthetic.records(1200, seed=24)
    ]
    assert path.read_bytes() == before


def test_shard_size_is_what_the_tests_think(source):
    assert legacy._SHARD_FILES == 20
    assert all(len(s.span) <= 20 for s in source.plan())
