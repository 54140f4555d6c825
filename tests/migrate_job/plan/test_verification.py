"""--verify: a share of the records, the same in every run, and counted; part of the plan."""

import json
from pathlib import Path

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from items import by_line

from cluster.errors import DestinationError
from cluster.sources import Record, open_source
from migrate_job import job
from migrate_job.coding import records as coding
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from migrate_job.plan.verification import is_chosen, parse_verify
from nbmf import Codec, store
from nbmf.store.folder import LocalFolder


@pytest.mark.parametrize(("text", "share"), [("all", 1.0), ("sample:0.05", 0.05), ("sample:1", 1.0)])
def test_what_is_meant(text, share):
    assert parse_verify(text) == share


@pytest.mark.parametrize(
    "text", ["", "none", "sample", "sample:", "sample:0", "sample:-1", "sample:1.5", "sample:nan", "0.5"]
)
def test_what_means_nothing(text):
    with pytest.raises(ValueError, match="sample:P"):
        parse_verify(text)


@given(key=st.text(), record_class=st.text(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_larger_share_holds_a_smaller_one(key, record_class, low, high):
    low, high = sorted((low, high))
    try:
        assert is_chosen(key, record_class, low) <= is_chosen(key, record_class, high)
    except UnicodeEncodeError:
        pytest.fail("surrogates are sorted out before")


def test_the_share_is_about_right():
    chosen = sum(is_chosen(f"key {n}", "note", 0.2) for n in range(10_000))
    assert 1_850 < chosen < 2_150


class CountingCodec(Codec):
    decoded = 0

    def decode_batch(self, blobs, **options):
        blobs = list(blobs)
        self.decoded += len(blobs)
        return super().decode_batch(blobs, **options)


def test_only_chosen_records_are_decoded():
    codec = CountingCodec()
    records = [Record(f"k{n}", "c", {}, f"text {n}", "place", 7) for n in range(500)]
    plan = Plan(None, (), LocalFolder(Path("new")), "unused", "none", Options(verify=0.1))
    rows = list(coding.migrate_records(records, codec, plan))
    verified = [row["key"] for row in rows if row["verified"]]
    assert len(rows) == 500
    assert codec.decoded == len(verified)
    assert verified == [record.key for record in records if is_chosen(record.key, "c", 0.1)]


def test_a_run_counts_them_and_its_plan_says_so(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(200, seed=5))
    command = ("migrate", path, tmp_path / "new", "--codec", "none")
    result = nbmf_command(*command, "--verify", "sample:0.25")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "new" / job.REPORT).read_text())
    assert report["migrated"] == 200
    assert report["verified"] == sum(is_chosen(f"a.jsonl:{n + 1}", "", 0.25) for n in range(200))
    migrated = by_line(store.iterate(tmp_path / "new"))
    assert [record.payload() for record in migrated] == synthetic.records(200, seed=5)
    with pytest.raises(DestinationError, match="--verify"):
        job.run(open_source(path), tmp_path / "new", str(tmp_path), "none")
    assert "--verify" in nbmf_command(*command, "--verify", "some").err
