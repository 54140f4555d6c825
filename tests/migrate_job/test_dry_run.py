"""Estimates from a sample: right where all is known, in range where it is not, the same every time, nothing written."""

import itertools
import json

import pytest
import synthetic

from cluster.sources import jsonl, open_source
from migrate_job import dry_run, job
from migrate_job.plan.plan import Plan
from nbmf import Codec
from nbmf.store.folder import LocalFolder


@pytest.fixture
def estimate(monkeypatch, tmp_path):
    """A function: the dry run over such records, with shards of 40 lines, on a clock that ticks."""
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 40)

    def run(records, sample, cpus=2):
        source = open_source(synthetic.write_jsonl(tmp_path / "a.jsonl", records))
        plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path / "new"), "unused", "none")
        ticks = itertools.count()
        return dry_run.dry_run(plan, Codec(), cpus, sample, clock=lambda: float(next(ticks)))

    return run


def totals(records):
    """What a migration without a version counts."""
    from nbmf.payload import to_canonical

    return sum(len(to_canonical(record)[1]) for record in records), sum(len(Codec().encode(r)) for r in records)


@pytest.mark.parametrize(("total", "wanted"), [(0, 5), (1, 5), (7, 7), (10, 3), (1000, 25)])
def test_evenly_spaced(total, wanted):
    found = dry_run.evenly_spaced(total, wanted)
    assert len(set(found)) == min(total, wanted)
    assert all(0 <= at < total for at in found)
    assert max((b - a for a, b in itertools.pairwise(found)), default=0) <= 2 * -(-total // wanted)
    assert found == dry_run.evenly_spaced(total, wanted)


def test_what_comes_at_regular_distances_is_not_missed(estimate):
    found = estimate(["a" * 1000 if number % 3 else "" for number in range(1200)], 400)
    assert found.payload_bytes.low < 800_000 < found.payload_bytes.high


def test_a_sample_of_everything_counts(estimate):
    records = synthetic.records(100, seed=31)
    found = estimate(records, 100)
    payload_bytes, blob_bytes = totals(records)
    assert (found.shards, found.sampled_shards, found.sampled_records) == (3, 3, 100)
    for name, value in (("records", 100), ("payload_bytes", payload_bytes), ("blob_bytes", blob_bytes)):
        one = getattr(found, name)
        assert one.counted
        assert one.value == one.low == one.high == pytest.approx(value)
    assert found.ratio.value == pytest.approx(payload_bytes / blob_bytes)


@pytest.mark.parametrize("count", [900, 4000])
def test_what_is_estimated_is_in_range(estimate, count):
    """23 shards, all of them sampled; 100, of which 25 are."""
    records = synthetic.records(count, seed=32)
    found = estimate(records, 300)
    payload_bytes, blob_bytes = totals(records)
    assert found.records.counted == (count == 900)
    for name, value in (("payload_bytes", payload_bytes), ("blob_bytes", blob_bytes)):
        one = getattr(found, name)
        assert not one.counted
        assert one.low < one.value < one.high
        assert one.low < value < one.high
        assert one.value == pytest.approx(value, rel=0.25)
    assert found.records.value == pytest.approx(count, rel=0.15)
    assert 250 <= found.sampled_records <= 350


def test_long_records_do_not_shift_it(estimate):
    """A few records hold most of the bytes; what share of them is in the sample is known."""
    records = [text * (200 if n % 37 == 0 else 1) for n, text in enumerate(["some text of a record "] * 1500)]
    payload_bytes, _ = totals(records)
    found = estimate(records, 100)
    assert found.payload_bytes.value == pytest.approx(payload_bytes, rel=0.1)
    assert found.payload_bytes.low < payload_bytes < found.payload_bytes.high


def test_the_same_every_time(estimate):
    records = synthetic.records(500, seed=33)
    assert estimate(records, 50) == estimate(records, 50)


def test_times_are_of_the_whole_source_and_the_cpus(estimate):
    """The clock ticks once while each shard is counted and once while it is coded: 3 shards of 40, 2 of 40 coded."""
    found = estimate(["text"] * 120, 6, cpus=2)
    seconds = 3 * (1 + 40 * 1 / 2)
    assert found.core_hours.value == pytest.approx(seconds / 3600)
    assert found.wall_seconds.value == pytest.approx(seconds / 2)
    assert estimate(["text"] * 120, 6, cpus=64).wall_seconds.value == pytest.approx(seconds / 3)


def test_nothing_in_the_source(estimate):
    found = estimate([], 10)
    assert (found.sampled_records, found.records.value, found.ratio.value) == (0, 0, 0)


@pytest.mark.usefixtures("ray_session")
def test_the_command_writes_nothing_but_the_json_file(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(30, seed=34))
    with path.open("ab") as file:
        file.write(b"{broken\n")
    before = synthetic.snapshot(tmp_path)
    command = ("migrate", path, tmp_path / "new", "--codec", "none", "--dry-run")
    result = nbmf_command(*command)
    assert result.code == 0, result.err
    assert synthetic.snapshot(tmp_path) == before
    out = result.out.decode()
    assert "nothing was written" in out
    assert "failures in the sample: not_json" in out
    assert nbmf_command(*command, "--json", tmp_path / "e.json", "--sample", "10").code == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["records"] == {"value": 31, "low": 31, "high": 31, "counted": True}
    assert found["sampled_records"] == 10
    assert synthetic.snapshot(tmp_path).keys() - before.keys() == {"e.json"}


@pytest.mark.parametrize("options", [("--sample", "10"), ("--json", "e.json"), ("--dry-run", "--sample", "1")])
def test_wrong_usage(nbmf_command, tmp_path, options):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    result = nbmf_command("migrate", path, tmp_path / "new", *options)
    assert result.code == 2
    assert "--sample" in result.err
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("ray_session")
def test_what_it_estimates_is_what_a_run_counts(tmp_path):
    source = open_source(synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(40, seed=35)))
    plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path / "new"), str(tmp_path), "none")
    found = dry_run.dry_run(plan, Codec(), 2)
    report = job.run(source, tmp_path / "new", str(tmp_path), "none")
    for name in ("records", "source_bytes", "payload_bytes", "blob_bytes"):
        assert getattr(found, name).value == pytest.approx(getattr(report, name))
