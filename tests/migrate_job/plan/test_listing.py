"""Shards on disk: the same as in memory, and so is the plan's fingerprint; the parts that a shard is split into."""

from dataclasses import replace

import pytest
import synthetic

from cluster.sources import LegacyStore, Record, jsonl, open_source
from migrate_job.plan.listing import Listing
from migrate_job.plan.plan import Plan
from nbmf.payload import to_canonical
from nbmf.store import sorted_names
from nbmf.store.folder import LocalFolder


@pytest.fixture(params=["legacy", "jsonl"])
def source(request, old_store, small_shards, tmp_path, monkeypatch):
    """Of more than three shards."""
    monkeypatch.setattr(sorted_names, "_RUN_NAMES", 13)
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 20)
    if request.param == "legacy":
        return LegacyStore(old_store.root, 30_000)
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(70, seed=9))
    with path.open("ab") as file:
        file.write(b"\n  \n{broken\n\xff\xfe\n" + b'"last"')
    return open_source(path)


def test_shards_come_back(source):
    planned = source.plan()
    with Listing.of(source) as listing:
        assert len(listing) == len(planned) > 3
        for index in (3, 0, 2, *range(len(planned))):
            assert listing[index] == planned[index]


def test_a_plan_is_the_same_by_either(source, tmp_path):
    more = (LocalFolder(tmp_path / "new"), "registry", "none")
    with Listing.of(source) as listing:
        assert Plan(source, listing, *more).fingerprint() == Plan(source, tuple(source.plan()), *more).fingerprint()
        assert Plan(source, listing, *more).fingerprint(1) == Plan(source, tuple(source.plan()), *more).fingerprint(1)


def test_a_source_that_only_plans_will_do(source):
    class OnlyPlans:
        def plan(self):
            return source.plan()

    with Listing.of(OnlyPlans()) as listing:
        assert [listing[index] for index in range(len(listing))] == source.plan()


def fields(item):
    return replace(item, payload=to_canonical(item.payload), meta=None) if isinstance(item, Record) else item


def test_parts_hold_the_same_records(source):
    for shard in source.plan():
        parts = list(source.split(shard))
        whole = [fields(item) for item in source.read(shard)]
        assert [fields(item) for _, part in parts for item in source.read(part)] == whole
        for place, part in parts:
            assert [item.place for item in source.read(part)] in ([place], [])
