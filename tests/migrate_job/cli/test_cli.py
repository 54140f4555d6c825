"""`nbmf migrate`."""

import json

import pytest
import registries
import synthetic
from items import by_line

from nbmf import store


@pytest.mark.usefixtures("small_shards")
def test_a_store_with_damage(nbmf_command, old_store, version, tmp_path):
    arguments = ("migrate", old_store.root, tmp_path / "new", "--registry", version.registry.location)
    arguments += ("--max-record-bytes", "30000")
    first = nbmf_command(*arguments)
    assert first.code == 3, first.err
    assert "Traceback" not in first.err
    out = first.out.decode()
    assert f"{len(old_store.bad)} records were not migrated: {tmp_path}/new/dead-letters.jsonl" in out
    assert f"Report: {tmp_path}/new/report.json" in out
    assert "dead letters: damaged_stub_blob" in out
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["version"] == version.id
    assert report["migrated"] == sum(1 for _ in store.iterate(tmp_path / "new"))
    again = nbmf_command(*arguments)
    assert (again.code, again.out) == (3, first.out)
    assert report["dead_reasons"]["damaged_stub_blob"] == 1
    assert "damaged_stub_blob" in (tmp_path / "new" / "report.html").read_text()


def test_whole_json_lines(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [{"text": "hi", "id": "k", "kind": "note"}])
    options = ("--codec", "none", "--payload-field", "text", "--key-field", "id", "--class-field", "kind")
    result = nbmf_command("migrate", path, tmp_path / "new", *options)
    assert result.code == 0, result.err
    (row,) = store.iterate(tmp_path / "new")
    assert (row.key, row.record_class, row.payload()) == ("k", "note", "hi")


def test_user_errors(error_of, version, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    registry = ("--registry", version.registry.location)
    assert error_of("migrate", tmp_path / "no", tmp_path / "new", *registry).startswith("nbmf: records_error:")
    assert error_of("migrate", path, tmp_path / "new", "--registry", tmp_path, "--codec", "stable").startswith(
        "nbmf: version_not_found:"
    )
    assert error_of("migrate", path, tmp_path / "new", "--codec", "zz", *registry).startswith(
        "nbmf: version_not_found:"
    )
    assert error_of("migrate", path, tmp_path, *registry).startswith("nbmf: destination_error:")
    assert "_lock" not in {p.name for p in tmp_path.iterdir()}
    assert "Not a directory" in error_of("migrate", path, path, *registry)


def test_a_damaged_version_is_found_before_anything_is_done(error_of, tmp_path):
    from cluster.registry import Registry

    registry = Registry(tmp_path / "registry")
    manifest = {"name": "x", "created_at": "2026", "architecture": "none"}
    version_id = registries.publish(registry, manifest, {"file": b"content"})
    (tmp_path / "registry" / "versions" / version_id / "file").write_bytes(b"altered")
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    message = error_of("migrate", path, tmp_path / "new", "--registry", registry.location)
    assert message.startswith("nbmf: damaged_codec:")
    assert not (tmp_path / "new").exists()


def test_effort_is_part_of_the_plan(nbmf_command, error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", ["Remember the invoice of March, and the window seat for Anna."])
    command = ("migrate", path, tmp_path / "new", "--codec", "builtin")
    assert nbmf_command(*command, "--effort", "fast", "--engine", "cpu", "--threads", "2").code == 0
    (row,) = store.iterate(tmp_path / "new")
    assert row.payload() == "Remember the invoice of March, and the window seat for Anna."
    plan = json.loads((tmp_path / "new" / "_plan.json").read_text())
    assert (plan["effort"], plan["latency_budget_ms"]) == ("fast", None)
    assert error_of(*command).startswith("nbmf: destination_error:")
    assert error_of(*command, "--latency-budget-ms", "50").startswith("nbmf: destination_error:")
    assert nbmf_command(*command, "--effort", "fast").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--effort", "most"),
        ("--latency-budget-ms", "0"),
        ("--latency-budget-ms", "nan"),
        ("--latency-budget-ms", "inf"),
        ("--effort", "max", "--latency-budget-ms", "50"),
        ("--engine", "gpu"),
        ("--threads", "0"),
    ],
)
def test_wrong_usage(nbmf_command, tmp_path, options):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    result = nbmf_command("migrate", path, tmp_path / "new", *options)
    assert result.code == 2
    assert options[-2] in result.err
    assert not (tmp_path / "new").exists()


def test_an_engine_that_is_not_installed(error_of, tmp_path, monkeypatch):
    from nbmf import engine

    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [1])
    message = error_of("migrate", path, tmp_path / "new", "--engine", "torch")
    assert message.startswith("nbmf: engine_missing:")


def test_interrupted_it_says_what_is_done_and_the_same_command_goes_on(nbmf_command, tmp_path, monkeypatch):
    from cluster.sources import jsonl
    from migrate_job import job

    monkeypatch.setattr(jsonl, "_SHARD_LINES", 5)
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(40, seed=4))
    command = ("migrate", path, tmp_path / "new", "--codec", "none")
    run = job.run

    def interrupted(*arguments, on_shard, **options):
        told = []

        def stop_at_third(counts):
            on_shard(counts)
            told.append(counts)
            if len(told) == 3:
                raise KeyboardInterrupt

        return run(*arguments, on_shard=stop_at_third, **options)

    with monkeypatch.context() as patch:
        patch.setattr(job, "run", interrupted)
        result = nbmf_command(*command)
    assert result.code == 130
    said = "Stopped: 3 of 8 parts of the source are done, 15 records by this run. The same command goes on."
    assert said in " ".join(result.err.split())
    assert nbmf_command(*command).code == 0
    migrated = by_line(store.iterate(tmp_path / "new"))
    assert [record.payload() for record in migrated] == synthetic.records(40, seed=4)
