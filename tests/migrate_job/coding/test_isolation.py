"""Records that kill or hang whoever reads or codes them: they alone are dead letters, and the run ends.

Real signals and hangs, in real processes.
"""

import json

import poison as poisonous
import pytest
import synthetic
from items import by_line
from poison import Planted, PlantedSeparable
from ray import cloudpickle

from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import run
from migrate_job.plan.options import Options
from nbmf import Codec, store
from nbmf.payload import to_canonical

TIMEOUT_S = 3


@pytest.fixture(autouse=True, scope="module")
def shipped():
    """Workers get the module with the source, as they cannot import it."""
    cloudpickle.register_pickle_by_value(poisonous)
    yield
    cloudpickle.unregister_pickle_by_value(poisonous)


@pytest.fixture(autouse=True)
def undo(monkeypatch):
    """What a planted source does to the codec when this process reads it."""
    monkeypatch.setattr(Codec, "encode_measured", Codec.encode_measured)


@pytest.fixture
def migrate(monkeypatch, tmp_path):
    """A function: migrates such payloads, 100 a shard, from a planted source; (report, payloads, dead letters)."""
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 100)

    def migrated(payloads, kind=PlantedSeparable):
        path = synthetic.write_jsonl(tmp_path / "a.jsonl", payloads)
        source = kind(open_source(path))
        destination = tmp_path / "new"
        report = job.run(source, destination, str(tmp_path), "none", Options(record_timeout_s=TIMEOUT_S))
        letters = [json.loads(line) for line in (destination / job.DEAD_LETTERS).read_text().splitlines()]
        return report, [record.payload() for record in by_line(store.iterate(destination))], letters

    return migrated


def with_poison(poison):
    """400 records in 4 shards, and those at these places."""
    payloads = synthetic.records(400, seed=61)
    for at, text in poison.items():
        payloads[at] = text
    return payloads


def check(found, payloads, poison):
    """Every other record is there; each of these is a dead letter."""
    report, migrated, letters = found
    good = [payload for at, payload in enumerate(payloads) if at not in poison]
    assert list(map(to_canonical, migrated)) == list(map(to_canonical, good))
    assert [letter["place"].rpartition(":")[2] for letter in letters] == [str(at + 1) for at in sorted(poison)]
    assert (report.migrated, report.dead, report.records) == (len(good), len(poison), len(payloads))


@pytest.mark.slow
def test_records_that_kill_whoever_codes_them(migrate):
    poison = {3: "code: kill", 4: "code: segfault", 150: "code: memory", 399: "code: exit"}
    payloads = with_poison(poison)
    found = migrate(payloads)
    check(found, payloads, poison)
    report, _, letters = found
    assert report.dead_reasons == {"crashed_worker": 4}
    ends = ("killed by SIGKILL", "killed by SIGSEGV", "out of memory", "exit code 3")
    for letter, end in zip(letters, ends, strict=True):
        assert end in letter["detail"]
        assert "while it was coded" in letter["detail"]
    assert [letter["key"] for letter in letters] == [f"a.jsonl:{at + 1}" for at in sorted(poison)]
    assert all(letter["source_bytes"] > 0 for letter in letters)


@pytest.mark.slow
def test_records_that_hang_whoever_codes_them(migrate):
    poison = {10: "code: sleep", 300: "code: busy"}
    payloads = with_poison(poison)
    found = migrate(payloads)
    check(found, payloads, poison)
    assert found[0].dead_reasons == {"timed_out": 2}
    assert "not come to an end" in found[2][0]["detail"]


@pytest.mark.slow
def test_records_that_kill_or_hang_whoever_reads_them(migrate):
    poison = {0: "read: kill", 1: "read: segfault", 120: "read: busy", 250: "read: memory"}
    payloads = with_poison(poison)
    found = migrate(payloads)
    check(found, payloads, poison)
    assert found[0].dead_reasons == {"crashed_worker": 3, "timed_out": 1}
    assert all("while it was read" in letter["detail"] for letter in found[2])


@pytest.mark.slow
def test_a_source_that_cannot_reach_what_is_behind_such_a_record(ray_session, migrate, monkeypatch):
    """The rest of the shard is one dead letter, which says so; records before it and other shards are there."""
    monkeypatch.setattr(run, "LITTLE_BYTES", -1)  # the pool's workers outlive them, too
    payloads = with_poison({130: "read: kill", 20: "code: kill"})
    report, migrated, letters = migrate(payloads, Planted)
    expected = [*payloads[:20], *payloads[21:130], *payloads[200:]]
    assert list(map(to_canonical, migrated)) == list(map(to_canonical, expected))
    assert report.dead_reasons == {"crashed_worker": 2}
    assert letters[1]["place"].endswith("a.jsonl: record 30")
    assert "what follows it" in letters[1]["detail"]


def test_what_kills_once_is_no_records_fault(migrate, tmp_path):
    payloads = with_poison({50: f"once: {tmp_path / 'flag'}"})
    found = migrate(payloads)
    check(found, payloads, {})
    assert found[0].dead == 0


def test_filters_are_the_same_for_isolated_records(migrate, tmp_path):
    """Killed on the way or not: the limit is counted over records and dead letters."""
    payloads = [{"text": f"record {n}", "kind": "ab"[n % 2]} for n in range(40)]
    payloads[9]["text"] = "code: kill"
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", payloads)
    source = PlantedSeparable(open_source(path, payload_field="text", class_field="kind"))
    report = job.run(source, tmp_path / "filtered", str(tmp_path), "none", Options(classes=("b",), limit=8))
    kept = [record.payload() for record in by_line(store.iterate(tmp_path / "filtered"))]
    assert kept == [f"record {n}" for n in (1, 3, 5, 7, 11, 13, 15)]
    assert (report.migrated, report.dead, report.skipped_reasons) == (7, 1, {"other_class": 20, "over_limit": 12})
