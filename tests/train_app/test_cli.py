"""`nbmf train`."""

import counts_versions
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
import yaml
from packed import FORMATS

from cluster.registry import Registry
from nbmf import Codec, inspect, json_text


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
    common = ("--out", registry.location, "--config", settings_file, "--preset", "none")
    first = nbmf_command("train", "-r", tmp_path / "memory.parquet", "--payload-field", "data", *common)
    assert first.code == 0, first.err
    stable = registry.channels().stable
    assert f"Published {stable} in {registry.location}.\nVersion {stable[:12]} is stable: " in first.out.decode()
    for codec in ("zlib-9", "zstd-19", "nbmf, built-in version", "nbmf, this version"):
        assert codec in first.out.decode()
    assert registry.manifest(stable).data["kinds"] == {"json": 40, "messages": 40, "text": 40}
    more = synthetic.write_jsonl(tmp_path / "more.jsonl", [{"said": r} for r in synthetic.records(60, seed=12)])
    second = nbmf_command("train", "-r", more, "--payload-field", "said", "--name", "next", *common)
    assert second.code == 0, second.err
    (other,) = set(registry.list_ids()) - {stable}
    assert f"Published {other} in {registry.location}.\n" in second.out.decode()
    assert f"Version {other[:12]} was not made stable: " in second.out.decode()
    assert f"nbmf, stable ({stable[:8]})" in second.out.decode()
    assert f"nbmf versions promote {other[:12]}" in second.out.decode()
    assert registry.manifest(other).name == "next"
    assert registry.channels().stable == stable


@pytest.mark.usefixtures("ray_session")
def test_whole_rows(nbmf_command, error_of, tmp_path, settings_file):
    """Ids are not learnt because they are the only text: it is asked, or rows are learnt whole."""
    rows = [{"id": f"k{n}", "turns": [{"text": str(r)}]} for n, r in enumerate(synthetic.records(60, seed=14))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "chats.parquet")
    registry = Registry(tmp_path / "registry")
    arguments = ("train", "-r", tmp_path / "chats.parquet", "--registry", registry.location, "--config", settings_file)
    arguments += ("--preset", "none")
    assert "id: string, turns: list<" in error_of(*arguments)
    assert registry.list_ids() == []
    result = nbmf_command(*arguments, "--payload", "row")
    assert result.code == 0, result.err
    assert registry.manifest(registry.channels().stable).data["kinds"] == {"json": 60}


@pytest.mark.usefixtures("ray_session")
def test_the_specifications_format(nbmf_command, tmp_path, settings_file):
    """Learnt from `data`, with `domain` as the class; the envelope is not learnt. As a plain file of the same."""
    records = synthetic.records(150, seed=21)
    lines = [
        {
            "id": f"r{n}",
            "domain": type(r).__name__,
            "type": "structured",
            "data": json_text.dumps(r),
            "metadata": {"n": n},
        }
        for n, r in enumerate(records)
    ]
    common = ("--config", settings_file, "--preset", "none")
    registry, plain = Registry(tmp_path / "registry"), Registry(tmp_path / "plain")
    result = nbmf_command(
        "train", "-r", synthetic.write_jsonl(tmp_path / "spec.jsonl", lines), *common, "-o", registry.location
    )
    assert result.code == 0, result.err
    assert "150 records in the specification's format: learnt from `data`, class from `domain`." in result.err
    nbmf_command("train", "-r", synthetic.write_jsonl(tmp_path / "a.jsonl", records), *common, "-o", plain.location)
    ours, theirs = (place.manifest(place.channels().stable) for place in (registry, plain))
    assert ours.data.pop("formats") == {"envelope": 150}
    classes = ours.data.pop("classes")
    assert set(classes) == {"str", "list", "dict"}
    assert sum(classes.values()) == ours.data["training_records"]
    assert ours.data == theirs.data
    by_class = ours.measured.pop("classes")
    assert ours.measured == theirs.measured
    assert "classes" not in theirs.measured
    by_kind = {"str": "text", "list": "messages", "dict": "json"}
    assert by_class == {name: ours.measured["kinds"][kind] for name, kind in by_kind.items()}
    assert "Held-out records by class" in result.out.decode()


@pytest.mark.usefixtures("ray_session")
def test_twenty_records_are_enough_for_a_primer(nbmf_command, tmp_path):
    """With the packaged settings, by a version of one's own."""
    version = counts_versions.write_counts_version(tmp_path, counts_versions.two_step_files(), network=True)
    rows = [{"invoice_id": 4711 + 13 * n, "status": "paid", "total_cents": 990 + 37 * n} for n in range(25)]
    learnt = synthetic.write_jsonl(tmp_path / "rows.jsonl", rows[:20])
    registry = Registry(tmp_path / "registry")
    result = nbmf_command(
        *("train", "-r", learnt, "--out", registry.location, "--preset", "primed", "--init-from", version),
        *("--runs", tmp_path / "runs", "--no-dictionaries"),
    )
    assert result.code == 0, result.err
    manifest = registry.manifest(registry.channels().stable)
    assert manifest.minimum_reader == 3
    assert manifest.measured["primer"]["records"] > 0
    codec, alone = registry.load(registry.channels().stable), Codec.load(version)
    blobs = [codec.encode(row, effort="fast") for row in rows[20:]]
    assert [codec.decode(blob) for blob in blobs] == rows[20:]
    assert sum(map(len, blobs)) < 0.7 * sum(len(alone.encode(row, effort="fast")) for row in rows[20:])


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
    assert set(manifest.data["classes"]) == {type(record).__name__ for record in records}
    assert sum(manifest.data["classes"].values()) == manifest.data["training_records"]
    assert manifest.measured["exact"] == manifest.measured["records"] > 0
    assert manifest.measured["all"]["nbmf"]["total_ratio"] > manifest.measured["all"]["zstd-19"]["total_ratio"]
    codec = registry.load(registry.channels().stable)
    blobs = [codec.encode(record) for record in records[180:]]
    assert [codec.decode(blob) for blob in blobs] == records[180:]
    assert {inspect(blob).coder for blob in blobs} == {"counts"}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_network_of_convolutions(nbmf_command, tmp_path, settings_file, settings):
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", synthetic.records(240, seed=17))
    short = settings.model_copy(update={"max_tokens": 8000, "network": {"n_layers": 3}})
    budget = tmp_path / "network.yaml"
    budget.write_text(yaml.safe_dump(short.model_dump(mode="json")))
    registry = Registry(tmp_path / "registry")
    result = nbmf_command(
        *("train", "-r", path, "--out", registry.location, "--config", settings_file, "--no-dictionaries"),
        *("--preset", "tiny", "--architecture", "cnn", "--network-config", budget, "--runs", tmp_path / "runs"),
        *("--make-stable", "always"),
    )
    assert result.code == 0, result.err
    manifest = registry.manifest(registry.channels().stable)
    assert (manifest.architecture, manifest.measured["layer_kinds"]) == ("cnn", "ccc")
    assert manifest.measured["exact"] == manifest.measured["records"] > 0
    assert "Network: cnn, layers ccc" in result.out.decode()


def test_nothing_to_train(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [1])
    result = nbmf_command("train", "-r", path, "--out", tmp_path / "registry", "--no-dictionaries", "--preset", "none")
    assert result.code == 2
    told = " ".join(result.err.replace("│", " ").split())  # the error's box may break its line
    assert "nothing to train: needs another --preset" in told
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
def test_what_is_left_out_is_told(nbmf_command, error_of, tmp_path, settings_file):
    """Of lines some of which are no JSON, or null: exit code 0. Where nothing else is there: 1, and told as well."""
    good = synthetic.records(120, seed=15)
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", [None, *good, {}])
    with path.open("ab") as file:
        file.write(b"{cut\nnull\n")
    registry = Registry(tmp_path / "registry")
    asked = ("--out", registry.location, "--config", settings_file, "--preset", "none", "--runs", tmp_path / "runs")
    result = nbmf_command("train", "-r", path, *asked)
    assert result.code == 0, result.err
    (rejected,) = (tmp_path / "runs").glob("rejected-*.jsonl")
    first, empty, not_json, null, *_ = result.out.decode().splitlines()
    assert first == f"Left out 4 of 124 records; each is a line of {rejected}:"
    assert empty == f"  1 empty: {path}:122"
    assert not_json.startswith(f"  1 not_json: {path}:123 (")
    assert null == f"  2 null: {path}:1, {path}:124"
    assert len(rejected.read_text().splitlines()) == 4
    (version_id,) = registry.list_ids()
    assert registry.manifest(version_id).data["rejected"] == {"empty": 1, "not_json": 1, "null": 2}
    bad = synthetic.write_jsonl(tmp_path / "bad.jsonl", [None] * 60)
    message = error_of("train", "-r", bad, *asked)
    assert message.startswith("nbmf: too_few_records: 0 distinct records found, 50 are needed")
    assert f"60 null: {bad}:1, {bad}:2, {bad}:3, …" in message


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
    common = ("--out", registry.location, "--config", settings_file, "--preset", "none")
    result = nbmf_command("train", "-r", tmp_path / "agent", *common)
    assert result.code == 0, result.err
    assert "Not read: 1 part of the source (1 unknown_kind)\n" in result.err
    assert f"{tmp_path}/agent/table.csv: a file of no kind" in result.err
    assert registry.manifest(registry.channels().stable).data["records"] == 120
