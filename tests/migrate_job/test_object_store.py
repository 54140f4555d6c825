"""Migrations to and from an object store that fails now and then, killed and gone on with: the same as on a disk."""

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zlib
from contextlib import closing
from pathlib import Path

import pytest
import synthetic

from cluster.errors import DestinationError
from cluster.sources import SourceChanged, SourceUnavailable, jsonl, open_source
from cluster.sources.shards import check_unchanged
from cluster.sources.storage import Storage
from migrate_job import job
from migrate_job.plan.options import Options
from nbmf import store
from nbmf.payload import to_canonical
from nbmf.store import folder as folders
from nbmf.store.folder import RemoteFolder, folder_at
from nbmf.store.layout import DEAD_LETTERS, INDEX, PART_PREFIX, PLAN, REPORT

RECORDS = 300


@pytest.fixture
def uri(bucket, tmp_path):
    """A folder of the test's own, reached through a network that does not fail."""
    return bucket.uri(f"migrations/{tmp_path.name}")


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 40)
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", synthetic.records(RECORDS, seed=31))
    with path.open("ab") as lines:
        lines.write(b"{broken\n")
    return path


def migrate(file, place, tmp_path, **options):
    return job.run(open_source(file), place, str(tmp_path), "none", **options)


def content(place):
    """What a migration is, by name, without the seconds it took."""
    folder = folder_at(place)
    kept = [name for name in folder.entries() if name.startswith((PART_PREFIX, INDEX, PLAN, REPORT, DEAD_LETTERS))]
    found = {name: folder.read(name) for name in kept}
    found[REPORT] = json.loads(found[REPORT]) | {"seconds": 0}
    return found


def test_it_is_what_it_would_be_on_a_disk(file, uri, tmp_path):
    report = migrate(file, uri, tmp_path)
    assert (report.migrated, report.dead) == (RECORDS, 1)
    migrate(file, tmp_path / "disk", tmp_path)
    assert content(uri) == content(tmp_path / "disk")
    assert migrate(file, uri, tmp_path, on_shard=pytest.fail) == report


def test_what_is_missing_is_done_again(file, uri, tmp_path):
    migrate(file, uri, tmp_path)
    before = content(uri)
    filesystem, path = RemoteFolder(uri).filesystem()
    for name in ("_done/000003.json", "part-000003.parquet", REPORT):
        filesystem.delete_file(f"{path}/{name}")
    told = []
    migrate(file, uri, tmp_path, on_shard=told.append)
    assert len(told) == 1
    assert content(uri) == before
    filesystem.delete_file(f"{path}/part-000001.parquet")
    with pytest.raises(DestinationError, match=r"part-000001\.parquet is gone"):
        migrate(file, uri, tmp_path)


def test_another_plan_and_a_folder_of_something_else_are_refused(file, uri, tmp_path):
    migrate(file, uri, tmp_path)
    with pytest.raises(DestinationError, match="another source or listing"):
        migrate(file, uri, tmp_path, options=Options(limit=7))
    other = uri.replace("?", "/of-someone?")
    folder_at(other).write("letter.txt", lambda path: path.write_text("x"))
    with pytest.raises(DestinationError, match="is not empty"):
        migrate(file, other, tmp_path)


@pytest.mark.parametrize("key", ["memory.jsonl:1", "memory.jsonl:299"])
def test_a_record_is_read_with_few_requests(file, uri, bucket, tmp_path, key):
    migrate(file, uri, tmp_path)
    bucket.front.requests.clear()
    with closing(store.open(uri)) as opened:
        opening = len(bucket.front.requests)
        record = opened.get(key)
        first = len(bucket.front.requests) - opening
        opened.get(key)
        second = len(bucket.front.requests) - opening - first
    assert to_canonical(record.payload()) == to_canonical(synthetic.records(RECORDS, seed=31)[int(key[13:]) - 1])
    assert (opening, first, second) == (4, 4, 2)
    assert all(ranged for method, path, ranged in bucket.front.requests if method == "GET" and "list-type" not in path)


def test_from_one_object_store_to_another_folder(file, uri, tmp_path):
    """JSON Lines there, a data set of them, and one of that."""
    source = uri.replace("?", "/source?")
    folder_at(source).write("memory.jsonl", lambda path: path.write_bytes(file.read_bytes()))
    first, second = uri.replace("?", "/first?"), uri.replace("?", "/second?")
    assert job.run(open_source(source), first, str(tmp_path), "none").migrated == RECORDS
    assert job.run(open_source(first), second, str(tmp_path), "none").migrated == RECORDS
    kept = [[(r.key, to_canonical(r.payload())) for r in store.iterate(place)] for place in (first, second)]
    assert sorted(kept[0]) == sorted(kept[1])


def test_a_legacy_store_there_is_read_as_one_here(old_store, small_shards, uri, tmp_path):
    """Every kind of record and damage that files can have, content-addressed ones and cold artefacts too."""
    here, there = tmp_path / "old", folder_at(uri)
    shutil.copytree(old_store.root, here, symlinks=True)
    (here / "records" / "folder__note.json").rmdir()
    (here / "records" / "link__note.json").unlink()
    text = json.dumps({"a": "content"})
    named = hashlib.sha256(text.encode()).hexdigest()
    (here / "more").mkdir()
    for name in (named, f"more/{named}.json"):
        (here / name).write_text(text)
    cold = base64.b64encode(zlib.compress(json.dumps(["cold"]).encode())).decode()
    (here / "a_7.json").write_text(json.dumps({"blob": cold}))
    (here / "README").write_text("none of it")
    for path in filter(Path.is_file, here.rglob("*")):
        there.write(str(path.relative_to(here)), lambda to, path=path: to.write_bytes(path.read_bytes()))
    found = {}
    for name, place in (("here", here), ("there", uri)):
        source = open_source(str(place), max_record_bytes=30_000)
        report = job.run(source, tmp_path / name, str(tmp_path), "none")
        letters = map(json.loads, (tmp_path / name / DEAD_LETTERS).read_text().splitlines())
        found[name] = (
            {(r.key, r.record_class): (r.meta, to_canonical(r.payload())) for r in store.iterate(tmp_path / name)},
            sorted((letter["key"] or "", letter["reason"], letter["place"].rpartition("/")[2]) for letter in letters),
            [Path(one["place"]).name for one in report.unread.listed],
        )
    assert found["here"] == found["there"]
    assert len(found["here"][0]) > 60
    assert {key for key, _ in found["there"][0]} >= {f"content/{named}", f"content/more/{named}", "cold/a_7"}
    source = open_source(uri, max_record_bytes=30_000)
    first = next(shard for shard in source.plan() if shard.path.endswith("records"))
    there.write(f"records/{first.files[0].name}", lambda path: path.write_text("{}"))
    with pytest.raises(SourceChanged, match="bytes then"):
        check_unchanged(first)


def test_a_network_that_fails_makes_no_dead_letters(uri, bucket, tmp_path, monkeypatch):
    """Now and then: all is there. For good: the run ends, and the same call goes on."""
    there, payloads = folder_at(uri), synthetic.records(20, seed=12)
    for number, payload in enumerate(payloads):
        content = json.dumps({"payload": payload, "meta": None, "cls": "note"})
        there.write(f"records/k{number:02}__note.json", lambda path, content=content: path.write_text(content))
    source = open_source(uri)
    bucket.front.share = 0.2
    assert job.run(source, tmp_path / "now and then", str(tmp_path), "none").migrated == 20
    monkeypatch.setattr(folders, "_TRIES", 1)
    content, left = Storage.content, iter(range(8))

    def lost(self, path):
        if next(left, None) is None:
            raise OSError("AWS Error NETWORK_CONNECTION")
        return content(self, path)

    bucket.front.share = 0
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "content", lost)
        with pytest.raises(SourceUnavailable, match="NETWORK_CONNECTION"):
            job.run(source, tmp_path / "for good", str(tmp_path), "none")
    assert not (tmp_path / "for good" / REPORT).exists()
    report = job.run(source, tmp_path / "for good", str(tmp_path), "none")
    assert (report.migrated, report.dead) == (20, 0)


def test_the_command_takes_a_uri_and_shows_no_secret(nbmf_command, file, uri, tmp_path):
    ended = nbmf_command("migrate", file, uri, "--codec", "none")
    out, err = ended.out.decode(), ended.err
    assert ended.code == 3, err
    assert "s3://memory-stores/migrations" in out
    assert "secret" not in out + err
    ended = nbmf_command("migrate", file, uri, "--codec", "none", "--to", "sqlite")
    assert ended.code == 1
    assert "a SQLite file is written on a filesystem of this machine" in " ".join(ended.err.split())


DRIVER = """
import sys
from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import run
from nbmf.store import folder

source, uri, registry, shard_lines, little_bytes = sys.argv[1:]
jsonl._SHARD_LINES, run.LITTLE_BYTES, folder._FIRST_PAUSE_S = int(shard_lines), int(little_bytes), 0.01
print("begun", flush=True)
report = job.run(open_source(source), uri, registry, "none")
print(report.migrated, report.dead, flush=True)
"""


def run_killed(file, uri, tmp_path, repository, kills, shard_lines, little_bytes):
    """Starts it again and again, killed at random moments, until it comes to its end. How often it was killed."""
    rng, killed = random.Random(8), 0
    arguments = (file, uri, tmp_path, shard_lines, little_bytes)
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, arguments)],
            cwd=repository,
            env={**os.environ, "RAY_ADDRESS": ""},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "begun\n"
        if killed < kills:
            time.sleep(rng.uniform(0.5, 3 if little_bytes > 0 else 25))
            process.send_signal(signal.SIGKILL)
            killed += 1
            process.communicate()
        else:
            assert process.communicate()[0].split() == [str(file.read_bytes().count(b"\n") - 1), "1"]
            return killed


@pytest.mark.slow
def test_killed_and_failed_at_random(file, uri, bucket, repository, tmp_path):
    migrate(file, tmp_path / "disk", tmp_path)
    bucket.front.share, before = 0.15, len(bucket.front.happened)
    run_killed(file, uri, tmp_path, repository, 3, 40, 10**9)
    bucket.front.share = 0
    assert len(bucket.front.happened) > before + 10
    assert content(uri) == content(tmp_path / "disk")


@pytest.mark.slow
def test_a_hundred_thousand_records(uri, bucket, repository, tmp_path):
    """On Ray, killed five times, every fifteenth request failing: read back equal, each record once."""
    records = synthetic.records(100_000, seed=9)
    file = synthetic.write_jsonl(tmp_path / "memory.jsonl", records)
    with file.open("ab") as lines:
        lines.write(b"{broken\n")
    bucket.front.share, before = 1 / 15, len(bucket.front.happened)
    run_killed(file, uri, tmp_path, repository, 5, 1000, -1)
    bucket.front.share = 0
    assert len(bucket.front.happened) > before + 30
    found = {int(record.key.rpartition(":")[2]): record.payload() for record in store.iterate(uri)}
    assert len(found) == len(records) == len(store.open(uri))
    assert [to_canonical(found[number + 1]) for number in range(len(records))] == list(map(to_canonical, records))
