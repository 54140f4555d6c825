"""Filters: what is left out is counted, the same records are taken in any order of shards, and the plan says so."""

import json

import pytest
import synthetic

from cluster.errors import DestinationError
from cluster.sources import jsonl, open_source
from migrate_job import dry_run, job
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from nbmf import Codec, store
from nbmf.store.folder import LocalFolder


@pytest.fixture
def source(tmp_path, monkeypatch):
    """60 records of classes a, b and c in turn, one of them damaged, in shards of 7."""
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 7)
    lines = [json.dumps({"text": f"record {n}", "kind": "abc"[n % 3]}) for n in range(60)]
    lines[10] = "{broken"
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    return open_source(tmp_path / "a.jsonl", payload_field="text", class_field="kind")


@pytest.fixture
def migrate(source, tmp_path):
    return lambda **filters: job.run(source, tmp_path / "new", str(tmp_path), "none", Options(**filters))


def numbers(folder):
    return sorted(int(record.payload().split()[1]) for record in store.iterate(folder))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"limit": 1}, [0]),
        ({"limit": 7}, list(range(7))),
        ({"limit": 20}, [n for n in range(20) if n != 10]),
        ({"limit": 60}, [n for n in range(60) if n != 10]),
        ({"limit": 1000}, [n for n in range(60) if n != 10]),
        ({"classes": ("b",)}, [n for n in range(60) if n % 3 == 1 and n != 10]),
        ({"classes": ("a", "c")}, [n for n in range(60) if n % 3 != 1]),
        ({"classes": ("a",), "limit": 5}, [0, 3, 6, 9]),  # the fifth is the damaged one
        ({"classes": ("a",), "limit": 6}, [0, 3, 6, 9, 12]),
        ({"classes": ("none such",)}, []),
    ],
)
def test_what_is_taken(migrate, tmp_path, filters, expected):
    report = migrate(**filters)
    assert numbers(tmp_path / "new") == expected
    assert report.records == report.migrated + report.dead + report.skipped == 60
    assert report.migrated == len(expected)
    assert sum(report.skipped_reasons.values()) == report.skipped
    if "limit" in filters:
        assert report.migrated + report.dead <= filters["limit"]
    else:
        assert report.dead == 1
        assert set(report.skipped_reasons) == {"other_class"}


def test_filters_are_part_of_the_plan(migrate):
    migrate(classes=("a", "b"), limit=9)
    for other in ({}, {"classes": ("a", "b")}, {"limit": 9}, {"classes": ("a",), "limit": 9}):
        with pytest.raises(DestinationError, match="--class or --limit"):
            migrate(**other)
    migrate(classes=("b", "a", "a"), limit=9)


def test_a_run_goes_on_with_the_same_records(migrate, tmp_path):
    report = migrate(classes=("a",), limit=12)
    before = numbers(tmp_path / "new")
    for lost in ("000002", "000004", "000007"):
        (tmp_path / "new" / "_done" / f"{lost}.json").unlink()
    assert migrate(classes=("a",), limit=12) == report
    assert numbers(tmp_path / "new") == before


@pytest.mark.parametrize(("filters", "wanted"), [({"limit": 20}, 20), ({"classes": ("c",)}, 21)])
def test_a_dry_run_counts_what_is_wanted(source, tmp_path, filters, wanted):
    from dataclasses import replace

    from migrate_job.plan.selection import find_cut

    plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path / "new"), "unused", "none", Options(**filters))
    found = dry_run.dry_run(replace(plan, cut=find_cut(plan)), Codec(), 2)
    assert (found.records.value, found.records.counted, found.sampled_records) == (wanted, True, wanted)


def test_the_command(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [{"t": n, "k": "ab"[n % 2]} for n in range(20)])
    options = ("--payload-field", "t", "--class-field", "k", "--codec", "none", "--registry", tmp_path / "registry")
    command = ("migrate", path, tmp_path / "new", *options, "--class", "b", "--class", "c", "--limit", "4")
    result = nbmf_command(*command)
    assert result.code == 0, result.err
    assert [record.payload() for record in store.iterate(tmp_path / "new")] == [1, 3, 5, 7]
    out = result.out.decode()
    assert "skipped: other_class" in out
    assert "skipped: over_limit" in out
    assert nbmf_command("migrate", path, tmp_path / "other", "--limit", "0").code == 2
