"""The demo's records and its final check; the whole demo, on few records, is slow."""

import json
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic

from bench.demo import records
from bench.demo.records import installation_records
from bench.demo.run import count_equal, write_legacy_store
from cluster.errors import DestinationError, TooFewRecords
from cluster.sources import LegacyStore
from migrate_job.coding import shard
from migrate_job.plan.plan import Plan
from nbmf import engine
from nbmf.codec import WITHOUT_VERSION
from nbmf.payload import to_canonical
from nbmf.store.folder import LocalFolder


@pytest.fixture(scope="module")
def many():
    return installation_records(100_000)


def _canonical(payloads):
    return [to_canonical(p) for p in payloads]


@pytest.fixture
def some_sources(monkeypatch):
    """A part of the library: reading all of it takes seconds."""
    sources = records._library_sources()[::12]
    monkeypatch.setattr(records, "_library_sources", lambda: sources)


@pytest.mark.slow
@pytest.mark.usefixtures("some_sources")
def test_records_are_the_same_every_time():
    first = _canonical(installation_records(300))
    assert len(first) > 200
    assert _canonical(installation_records(300)) == first
    assert _canonical(installation_records(300, seed=1)) != first


def test_there_are_enough_of_each_kind(many):
    kinds = [to_canonical(r)[0].label for r in many]
    assert len(many) > 1000
    for kind in ("text", "messages", "json"):
        assert kinds.count(kind) > 300


@pytest.mark.usefixtures("some_sources")
def test_a_third_of_each_at_most():
    kinds = [to_canonical(r)[0].label for r in installation_records(60)]
    assert sorted(kinds) == ["json"] * 20 + ["messages"] * 20 + ["text"] * 20


def test_no_documentation_is_in_two_records(many):
    """So that a record kept back is unseen. Answers of conversations are cut at 1,500 characters."""
    seen = set()
    for record in many:
        if type(record) is str:
            documents = [record[:1500]]
        elif type(record) is list:
            documents = [turn["content"] for turn in record if turn["role"] == "assistant"]
        else:
            continue
        for document in documents:
            assert document not in seen, document
            seen.add(document)
    assert len(seen) > 1000


def test_no_record_is_there_twice(many):
    assert len(set(_canonical(many))) == len(many)


@pytest.fixture
def demo_store(tmp_path, monkeypatch):
    """A legacy store as the demo writes it, migrated without Ray."""
    payloads = synthetic.records(30, seed=51)
    write_legacy_store(tmp_path / "old", payloads)
    source = LegacyStore(tmp_path / "old")
    plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path / "new"), "unused", "none")
    plan.destination.path.mkdir()
    plan.claim()
    monkeypatch.setattr(engine, "_engine", None)  # which a worker sets, for its process
    for index in range(len(plan.shards)):
        shard.migrate_shard(plan, index)
    return source, plan.destination.path


def test_the_legacy_store_holds_the_stubs_blobs(demo_store):
    source, _ = demo_store
    found = [item for s in source.plan() for item in source.read(s)]
    assert _canonical(i.payload for i in found) == _canonical(synthetic.records(30, seed=51))
    files = sorted((source.root / "records").iterdir())
    assert json.loads(files[0].read_text())["payload"].keys() == {"meta", "code", "sig"}


def test_an_equal_store_counts_every_record(demo_store):
    assert count_equal(*demo_store, WITHOUT_VERSION) == 30


@pytest.mark.parametrize("how", ["altered", "other key", "other class", "missing"])
def test_a_record_that_differs_is_noticed(demo_store, how):
    source, destination = demo_store
    (part,) = destination.glob("part-*.parquet")
    table = pq.read_table(part)
    rows = table.to_pylist()
    if how == "altered":
        rows[7]["blob"] = WITHOUT_VERSION.encode({"not": "what it was"})
    elif how == "other key":
        rows[7]["key"] += "x"
    elif how == "other class":
        rows[7]["class"] += "x"
    else:
        del rows[7]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), part)
    assert count_equal(source, destination, WITHOUT_VERSION) == 29


def test_a_folder_of_something_else_is_not_emptied(tmp_path):
    from bench.demo.run import _claim

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("precious")
    with pytest.raises(DestinationError, match="not an earlier demo's"):
        _claim(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "precious"
    _claim(tmp_path / "new")
    (tmp_path / "new" / "left over").touch()
    _claim(tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == [".nbmf-demo"]


def test_too_few_records_of_ones_own(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", synthetic.records(10))
    message = error_of("demo", "--records", path, "--out", tmp_path / "out")
    assert message.startswith(f"nbmf: {TooFewRecords.code}: 10 records found; the demo wants at least 200")
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_of_ones_own_records_is_said(nbmf_command, tmp_path):
    table = pa.table({"payload": [b"\x00\x01", b"\xff", b'{"a": 1}', None]})
    pq.write_table(table, tmp_path / "few.parquet")
    (tmp_path / "notes.txt").write_text("x")
    result = nbmf_command("demo", "--records", tmp_path, "--out", tmp_path / "out")
    assert result.code == 1
    assert "notes.txt: a file of no kind" in result.err
    said = "Left out 3 of 4 records: 3 bytes, which the legacy store of the demo, as JSON, cannot hold"
    assert said in result.err
    assert "1 records found" in result.err


@pytest.mark.slow
def test_the_whole_demo(console_script, clean_environment, tmp_path):
    """In a process and a Ray session of its own, on records of a user's."""
    path = synthetic.write_jsonl(tmp_path / "mine.jsonl", synthetic.records(400, seed=52))
    result = subprocess.run(
        [console_script, "demo", "--records", path, "--out", tmp_path / "out"],
        env=clean_environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert "40 of 40" in result.stdout
    assert "360 of 360" in result.stdout
    for name in ("raw", "zlib-9", "zstd-19", "nbmf"):
        assert name in result.stdout
