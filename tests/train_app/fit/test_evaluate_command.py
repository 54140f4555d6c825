"""`nbmf evaluate`."""

import json
import random

import pytest
import synthetic
import yaml

from cluster.registry import Registry


def spec(records, domain=None):
    return [{"domain": domain or type(r).__name__, "type": "text", "data": r} for r in records]


def foreign(count):
    """Text that nothing was learnt of."""
    rng = random.Random(3)
    letters = "bcdfghjklmnpqrstvwxz"
    return [" ".join("".join(rng.choices(letters, k=7)) for _ in range(30)) for _ in range(count)]


@pytest.fixture(scope="module")
def registry(ray_session, train_config, tmp_path_factory):
    """With a version that knows its classes."""
    from train_app import job
    from train_app.samples.opening import Reading

    folder = tmp_path_factory.mktemp("evaluated")
    path = synthetic.write_jsonl(folder / "a.jsonl", spec(synthetic.records(600, seed=61)))
    place = Registry(folder / "registry")
    config = train_config.model_copy(update={"dictionary_sizes_bytes": (4096,)})
    job.run(Reading().open([str(path)]), place, config, "classes")
    return place


def test_where_it_fits_and_where_not(nbmf_command, registry, tmp_path):
    lines = [*spec(synthetic.records(150, seed=62)), *spec(foreign(60), "foreign")]
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", lines)
    report_file = tmp_path / "report.json"
    options = ("--registry", registry.location, "--json", report_file)
    result = nbmf_command("evaluate", "stable", "-r", path, *options)
    assert result.code == 0, result.err
    out, report = result.out.decode(), json.loads(report_file.read_text())
    version_id = registry.channels().stable
    held_out = registry.manifest(version_id).measured
    assert report["version"] == version_id
    fits = {fit["name"]: fit for fit in report["classes"]}
    assert {name: fit["verdict"] for name, fit in fits.items()} == {
        "str": "fits",
        "list": "fits",
        "dict": "fits",
        "foreign": "does not fit",
    }
    for name in ("str", "list", "dict"):
        row = held_out["classes"][name]["nbmf"]
        assert fits[name]["expected_bits_per_byte"] == round(8 * row["coded_bytes"] / row["raw_bytes"], 4)
        assert fits[name]["records"] == 50
    assert "class foreign: The version learnt nothing of this class: train one with some of these" in out
    assert (
        f"Version {version_id[:12]} on 210 records: ratio {report['measured']['all']['nbmf']['total_ratio']:.2f}" in out
    )
    assert report["measured"]["exact"] == report["measured"]["records"] == 210
    assert {fit["name"] for fit in report["kinds"]} == {"text", "messages", "json"}


def test_records_as_those_it_learnt(nbmf_command, registry, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", [*spec(synthetic.records(90, seed=63)), None])
    result = nbmf_command("evaluate", registry.channels().stable[:10], "-r", path, "--registry", registry.location)
    assert result.code == 3, result.err
    out = result.out.decode()
    assert "Left out 1 of 91 records:" in out
    assert "Every class is as small as what the version learnt from." in out
    assert "Every kind is as small as what the version learnt from." in out


def test_a_sample_is_drawn(nbmf_command, registry, train_config, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", synthetic.records(90, seed=64))
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(json.loads(train_config.model_dump_json()) | {"max_holdout_bytes": 9000}))
    options = ("--registry", registry.location, "--config", settings, "--json", tmp_path / "report.json")
    assert nbmf_command("evaluate", "stable", "-r", path, *options).code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["records"] == 90
    assert 0 < report["measured"]["records"] < 90
    assert report["measured"]["all"]["nbmf"]["raw_bytes"] <= 9000
    assert report["classes"] == []


def test_a_record_that_does_not_come_back(nbmf_command, registry, tmp_path, monkeypatch):
    from nbmf.codec import Codec

    original = Codec.decode_batch
    monkeypatch.setattr(Codec, "decode_batch", lambda self, blobs, **_: ["else", *original(self, blobs)[1:]])
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", synthetic.records(30, seed=65))
    result = nbmf_command("evaluate", "stable", "-r", path, "--registry", registry.location)
    assert result.code == 1
    assert "1 records did not decode equal." in result.err


def test_user_errors(nbmf_command, error_of, registry, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "b.jsonl", [None])
    options = ("-r", path, "--registry", registry.location)
    assert error_of("evaluate", "stable", *options).startswith("nbmf: too_few_records: no record is left to measure.")
    assert error_of("evaluate", "abc", *options).startswith("nbmf: version_not_found:")
    for name in ("none", "stub", "builtin"):  # the tests' installation has no built-in version
        assert nbmf_command("evaluate", name, *options).code == 2
