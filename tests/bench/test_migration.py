"""`nbmf bench migration`: it finds what is wrong with a migration, and passes one that is right."""

import json

import pytest

from bench.migration import damaged, measured_run, records, scale, stores
from cluster.registry import Registry
from migrate_job import job


def test_any_record_can_be_made_again():
    assert [records.payload_of(n) for n in range(50)] == [records.payload_of(n) for n in range(50)]
    assert sorted(records.key_of(n) for n in range(200)) == [records.key_of(n) for n in range(200)]
    assert len({json.dumps(records.payload_of(n)) for n in range(500)}) == 500


def test_damage_is_of_every_kind_and_as_much_as_asked_for():
    reasons = stores.damage_of(2000, 0.01)
    assert len(reasons) == 20
    assert set(reasons.values()) == set(stores._DAMAGES)
    assert stores.damage_of(2000, 0) == {}


@pytest.fixture
def run(ray_session, tmp_path):
    return lambda: damaged.run(tmp_path, 1200, 0.02, Registry(str(tmp_path / "registry")), "none", "auto")


def test_a_migration_that_is_right(run):
    report = run()
    assert report["problems"] == 0, report["first_problems"]
    assert (report["equal_at_the_destination"], report["dead_letters_with_the_right_reason"]) == (1176, 24)
    assert report["untouched_at_the_source"] == 1200
    assert set(report["dead_reasons"]) == set(stores._DAMAGES)


def lose_a_record(new):
    import pyarrow.parquet as pq

    part = min(new.glob("part-*.parquet"))
    pq.write_table(pq.read_table(part).slice(1), part)


def alter_a_record(new):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nbmf import Codec

    part = min(new.glob("part-*.parquet"))
    rows = pq.read_table(part)
    blobs = [Codec().encode("another"), *rows["blob"].to_pylist()[1:]]
    at = rows.schema.get_field_index("blob")
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(blobs, pa.binary())), part)


def lose_a_letter(new):
    letters = (new / job.DEAD_LETTERS).read_text().splitlines(keepends=True)
    (new / job.DEAD_LETTERS).write_text("".join(letters[1:]))


def write_to_the_source(new):
    path = min((new.parent / "old" / "records").glob("*note.json"))
    path.write_text("{}")


@pytest.mark.parametrize("change", [lose_a_record, alter_a_record, lose_a_letter, write_to_the_source])
def test_a_migration_that_is_wrong(run, monkeypatch, change):
    migrate = job.run

    def spoilt(source, destination, *arguments, **options):
        report = migrate(source, destination, *arguments, **options)
        change(destination)
        return report

    monkeypatch.setattr(job, "run", spoilt)
    report = run()
    assert report["problems"] > 0
    assert report["first_problems"]


def row(**fields):
    one = {"codec": "none", "source": "JSONL", "records": 1000, "shards": 10, "worker_s": 20, "efficiency": 0.8}
    return one | {"payload_bytes": 500_000, "blob_bytes": 100_000, "driver_cpu_s": 1, "listing_s": 0.1} | fields


def test_what_measurements_say_of_more_records():
    speed = [row(workers=1, efficiency=1.0), row(workers=2)]
    memory = [row(), row(records=100_000, shards=1000, driver_cpu_s=10.9, listing_s=10)]
    target = scale.extrapolate(speed, memory)
    (version,) = target["versions"]
    assert target["driver_s_per_shard"] == pytest.approx(9.9 / 990)
    assert version["core_hours"] == pytest.approx(0.02 * 1e9 / 3600)
    assert version["cores_kept_at_work"] == pytest.approx(200)
    assert version["hours"]["128"] == pytest.approx(version["core_hours"] / 128 / 0.8)
    assert version["hours"]["1024"] == pytest.approx(version["core_hours"] / 200 / 0.8)
    assert (version["payload_bytes"], version["blob_bytes"]) == (500e9, 100e9)
    assert target["listing_hours"] == pytest.approx(1e-4 * 1e9 / 3600)


def test_a_run_that_fails_says_why(tmp_path):
    nothing = measured_run.Job(str(tmp_path / "no"), str(tmp_path / "new"), "", "none", "auto", 1)
    with pytest.raises(measured_run.RunFailed, match="does not exist"):
        measured_run.measure(nothing)


@pytest.mark.slow
def test_the_command(nbmf_command, tmp_path):
    options = ("--records", 30, "--memory-records", 300, "--memory-records", 3000, "--legacy-records", 300)
    options += ("--codec", "none", "--folder", tmp_path, "--json", tmp_path / "report.json")
    result = nbmf_command("bench", "migration", "scale", *options)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(one["source"], one["records"]) for one in report["memory"]] == [
        ("JSONL", 300),
        ("JSONL", 3000),
        ("legacy", 300),
    ]
    assert all(one["driver_peak_bytes"] > 50e6 and one["worker_peak_bytes"] > 50e6 for one in report["memory"])
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert b"extrapolated to 1,000,000,000 records" in result.out
