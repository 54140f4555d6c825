"""`nbmf train`."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
import yaml
from packed import FORMATS

from cluster.registry import Registry
from nbmf import inspect, json_text


@pytest.fixture
def settings_file(train_config, tmp_path):
    path = tmp_path / "small.yaml"
    fields = train_config.model_dump() | {"dictionary_sizes_bytes": [4096], "dictionary_segments_bytes": [200]}
    path.write_text(yaml.safe_dump(fields))
    return path


@pytest.mark.usefixtures("ray_session")
def test_two_runs_of_the_command(nbmf_command, tmp_path, settings_file):
    """Parquet: text that is JSON is learnt as JSON. The second version is published, but not stable."""
    texts = [json_text.dumps(r) if type(r) is not str else r for r in synthetic.records(120, seed=11)]
    pq.write_table(pa.table({"id": range(120), "data": texts}), tmp_path / "memory.parquet")
    registry = Registry(tmp_path / "registry")
    common = ("--out", registry.location, "--config", settings_file)
    first = nbmf_command("train", "-r", tmp_path / "memory.parquet", "--payload-field", "data", *common)
    assert first.code == 0, first.err
    stable = registry.channels().stable
    assert f"Published {stable} in {registry.location} as stable.\n" in first.out.decode()
    assert "zstd-19" in first.out.decode()
    assert registry.manifest(stable).data["kinds"] == {"json": 40, "messages": 40, "text": 40}
    more = synthetic.write_jsonl(tmp_path / "more.jsonl", [{"said": r} for r in synthetic.records(60, seed=12)])
    second = nbmf_command("train", "-r", more, "--payload-field", "said", "--name", "next", *common)
    assert second.code == 0, second.err
    (other,) = set(registry.list_ids()) - {stable}
    assert f"Published {other} in {registry.location}.\n" in second.out.decode()
    assert f"nbmf versions promote {other[:12]}" in second.out.decode()
    assert registry.manifest(other).name == "next"
    assert registry.channels().stable == stable


@pytest.mark.usefixtures("ray_session")
def test_counts_alone(nbmf_command, tmp_path, settings_file):
    """A version without passages of the records: no dictionaries, and sequences of one record are left out."""
    records = synthetic.records(240, seed=13)
    rows = [{"said": r, "class": type(r).__name__} for r in records]
    learnt = synthetic.write_jsonl(tmp_path / "memory.jsonl", rows[:180])
    watched = synthetic.write_jsonl(tmp_path / "watched.jsonl", rows[180:])
    registry = Registry(tmp_path / "registry")
    result = nbmf_command(
        *("train", "-r", learnt, "--validation", watched, "--payload-field", "said", "--class-field", "class"),
        *("--out", registry.location, "--config", settings_file, "--preset", "counts", "--no-dictionaries"),
        *("--runs", tmp_path / "runs"),
    )
    assert result.code == 0, result.err
    manifest = registry.manifest(registry.channels().stable)
    assert (manifest.architecture, manifest.minimum_reader) == ("counts", 2)
    assert manifest.dictionaries == {}
    assert manifest.neural is None
    assert manifest.data["records"] == 180
    assert manifest.measured["exact"] == manifest.measured["records"] > 0
    assert manifest.measured["all"]["nbmf"]["total_ratio"] > manifest.measured["all"]["zstd-19"]["total_ratio"]
    codec = registry.load(registry.channels().stable)
    blobs = [codec.encode(record) for record in records[180:]]
    assert [codec.decode(blob) for blob in blobs] == records[180:]
    assert {inspect(blob).coder for blob in blobs} == {"counts"}


def test_nothing_to_train(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [1])
    result = nbmf_command("train", "-r", path, "--out", tmp_path / "registry", "--no-dictionaries")
    assert result.code == 2
    assert "nothing to train" in result.err
    assert "needs a --preset" in result.err
    assert not (tmp_path / "registry").exists()


@pytest.mark.usefixtures("ray_session")
def test_a_start_from_no_earlier_run(error_of, tmp_path, settings_file):
    path = synthetic.write_jsonl(tmp_path / "some.jsonl", synthetic.records(80, seed=14))
    registry = Registry(tmp_path / "registry")
    message = error_of(
        *("train", "-r", path, "--out", registry.location, "--config", settings_file, "--preset", "tiny"),
        *("--no-dictionaries", "--init-from", tmp_path / "nothing", "--runs", tmp_path / "runs"),
    )
    assert message.startswith("nbmf: training_failed:")
    assert "name the folder of an earlier run" in message
    assert registry.list_ids() == []


@pytest.mark.usefixtures("ray_session")
def test_too_few_records(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", synthetic.records(12))
    message = error_of("train", "--records", path, "--out", tmp_path / "registry")
    assert message.startswith("nbmf: too_few_records: 12 distinct records found, 100 are needed")


def test_user_errors(error_of, tmp_path):
    out = ("--out", tmp_path / "registry")
    assert error_of("train", "-r", tmp_path / "no.jsonl", *out).startswith("nbmf: records_error:")
    (tmp_path / "bad.yaml").write_text("min_records: many")
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [1])
    message = error_of("train", "-r", path, "--config", tmp_path / "bad.yaml", *out)
    assert message.startswith("nbmf: config_error:")
    assert "min_records" in message
    assert not (tmp_path / "registry").exists()


@pytest.mark.usefixtures("ray_session")
def test_a_folder_of_which_not_all_is_read(nbmf_command, tmp_path, settings_file):
    records = synthetic.records(120, seed=14)
    for number, suffix in enumerate(FORMATS):
        folder = tmp_path / "agent" / f"2026-01-{number + 1:02}"
        folder.mkdir(parents=True)
        lines = "".join(json_text.dumps(record) + "\n" for record in records[number::4])
        (folder / f"a.jsonl{suffix}").write_bytes(FORMATS[suffix](lines.encode("utf-8", "backslashreplace")))
    (tmp_path / "agent" / "table.csv").write_text("x")
    registry = Registry(tmp_path / "registry")
    result = nbmf_command("train", "-r", tmp_path / "agent", "--out", registry.location, "--config", settings_file)
    assert result.code == 0, result.err
    assert "Not read: 1 files or folders of the source (1 unknown_kind)\n" in result.err
    assert f"{tmp_path}/agent/table.csv: a file of no kind" in result.err
    assert registry.manifest(registry.channels().stable).data["records"] == 120
