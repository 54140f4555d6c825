"""A source that is written to: no shard of a file that changed is committed, and a run does not go on with it."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import synthetic

from cluster.errors import DestinationError
from cluster.sources import LegacyStore, SourceChanged, open_source
from migrate_job import job
from migrate_job.coding import shard
from migrate_job.layout import done_name
from migrate_job.plan.plan import PLAN, Plan
from nbmf import store
from nbmf.store.folder import LocalFolder


def modified_later(path):
    """The modification time alone, as an edit that keeps the size leaves it."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def rewritten(path):
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    os.utime(path, ns=(1, 1))


def longer(path):
    with path.open("ab") as file:
        file.write(b"3\n")


def shorter(path):
    path.write_bytes(path.read_bytes()[:-2])


CHANGES = [modified_later, rewritten, longer, shorter, Path.unlink]


def plan_of(source, destination):
    destination.mkdir(exist_ok=True)
    plan = Plan(source, tuple(source.plan()), LocalFolder(destination), "unused", "none")
    plan.claim()
    return plan


@dataclass(frozen=True)
class ChangedWhileRead:
    """A source whose file changes when its last record has been given out."""

    source: object
    path: Path
    change: object

    def plan(self):
        return self.source.plan()

    def read(self, part):
        yield from self.source.read(part)
        self.change(self.path)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read(tmp_path, change):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1, 11])
    plan = plan_of(ChangedWhileRead(open_source(path), path, change), tmp_path / "new")
    with pytest.raises(SourceChanged, match=r"a\.jsonl changed after .* into a new folder"):
        shard.migrate_shard(plan, 0)
    assert not (plan.destination.path / done_name(0)).exists()
    assert list(store.iterate(tmp_path / "new")) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_before_it_is_read(tmp_path, change):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1, 11])
    plan = plan_of(open_source(path), tmp_path / "new")
    change(path)
    with pytest.raises(SourceChanged):
        shard.migrate_shard(plan, 0)
    assert not (plan.destination.path / done_name(0)).exists()


def test_one_file_of_a_legacy_store_is_named(tmp_path):
    folder = tmp_path / "old" / "records"
    folder.mkdir(parents=True)
    for name in "abc":
        (folder / f"{name}__note.json").write_text('{"payload": 1}')
    plan = plan_of(LegacyStore(tmp_path / "old"), tmp_path / "new")
    rewritten(folder / "b__note.json")
    with pytest.raises(SourceChanged, match=r"records/b__note\.json changed"):
        shard.migrate_shard(plan, 0)


def test_what_cannot_be_looked_at_is_unchanged_while_it_stays_so(tmp_path):
    folder = tmp_path / "old" / "records"
    folder.mkdir(parents=True)
    (folder / "link__note.json").symlink_to("nowhere")
    plan = plan_of(LegacyStore(tmp_path / "old"), tmp_path / "new")
    assert shard.migrate_shard(plan, 0)["dead_reasons"] == {"unreadable": 1}
    (folder / "nowhere").write_text('{"payload": 1}')
    with pytest.raises(SourceChanged, match="was not there then"):
        shard.migrate_shard(plan, 0)


def test_a_file_cut_short_is_read_to_its_end_and_no_further(tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", ["a", "b"])
    source = open_source(path)
    (part,) = source.plan()
    path.write_bytes(b'"a"\n')
    assert [record.payload for record in source.read(part)] == ["a"]


def test_the_run_ends_with_the_error(tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    # When the shards are planned and none is read.
    with pytest.raises(SourceChanged, match=r"a\.jsonl changed"):
        job.run(open_source(path), tmp_path / "new", str(tmp_path), "none", on_plan=lambda *_: modified_later(path))
    assert not (tmp_path / "new" / job.REPORT).exists()
    with pytest.raises(DestinationError, match="modified since"):
        job.run(open_source(path), tmp_path / "new", str(tmp_path), "none")


def test_a_plan_from_before_there_were_modification_times_goes_on(tmp_path):
    """The file and the fingerprint as they were written then; a modification is not noticed by that plan."""
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1, 11])
    source = open_source(path)
    (tmp_path / "new").mkdir()
    what = ["JsonLines", repr(source), "none", "lossless"]
    shards = [{"path": str(path), "span": [0, 5, 1]}]
    fingerprint = hashlib.sha256(json.dumps([what, shards], sort_keys=True).encode()).hexdigest()
    old = {"fingerprint": fingerprint, "version": "none", "effort": "auto", "latency_budget_ms": 100.0, "shards": 1}
    (tmp_path / "new" / PLAN).write_text(json.dumps(old))
    modified_later(path)
    assert shard.migrate_shard(plan_of(source, tmp_path / "new"), 0)["migrated"] == 2
    longer(path)
    with pytest.raises(DestinationError):
        plan_of(source, tmp_path / "new")
