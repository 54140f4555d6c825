"""Training runs through Ray: what is published, what its manifest says, what is refused."""

import json
import pickle
import random

import modalities
import pytest
import synthetic
from gone import Gone

from cluster.errors import RecordsError, TooFewRecords
from cluster.registry import Registry
from cluster.sources import LegacyStore, open_source
from nbmf import stub
from nbmf.payload import to_canonical
from nbmf.store.record_file import file_name as record_file_name
from train_app import job
from train_app.results.stability import MakeStable
from train_app.samples.prepare import _read, prepare

CODECS = {"zlib-9", "zstd-19", "built-in", "nbmf"}


@pytest.fixture(scope="module")
def manifest(version):
    return version.registry.manifest(version.id)


def test_the_version_is_published_and_stable(version, manifest):
    assert version.registry.list_ids() == [version.id]
    assert version.registry.channels().stable == version.id
    assert (manifest.name, manifest.architecture) == ("tests", "zstd-dictionary")
    assert manifest.dictionaries.keys() >= {"text", "messages", "json"}
    assert {*manifest.dictionaries.values(), manifest.golden} == manifest.files.keys()


def test_the_manifest_counts_every_record(version, manifest):
    data = manifest.data
    assert data == version.trained.data
    assert data["duplicates"] == version.duplicates
    assert data["rejected"] == {"empty": 1, "not_json": 1, "not_utf8": 1, "too_large": 1}
    assert data["training_records"] + data["holdout_records"] == len(version.learnt_from)
    assert data["records"] == len(version.learnt_from) + version.duplicates + 4
    assert data["kinds"] == {"json": 400, "messages": 400, "text": 400}
    assert "classes" not in data
    size = sum(len(to_canonical(r)[1]) for r in version.learnt_from)
    assert data["training_bytes"] + data["holdout_bytes"] == size


def test_the_measurements_fit_together(version, manifest):
    measured, data = manifest.measured, manifest.data
    assert measured == version.trained.measured
    assert measured["compared_with"] == {"built-in": None}  # in tests it has no learned part
    assert measured["exact"] == measured["records"] == data["holdout_records"]
    assert measured["all"].keys() == CODECS
    for name in CODECS:
        whole, kinds = measured["all"][name], [kind[name] for kind in measured["kinds"].values()]
        assert whole["raw_bytes"] == data["holdout_bytes"]
        for count in ("records", "raw_bytes", "coded_bytes"):
            assert whole[count] == sum(kind[count] for kind in kinds)
        assert whole["total_ratio"] == pytest.approx(whole["raw_bytes"] / whole["coded_bytes"], abs=1e-4)
        assert whole["min_ratio"] <= whole["p5_ratio"] <= whole["mean_ratio"]


def test_what_was_learnt_beats_zstd_on_unseen_records(version, manifest):
    measured = manifest.measured["all"]
    assert measured["nbmf"]["total_ratio"] > 2 * measured["zstd-19"]["total_ratio"]
    assert measured["nbmf"]["total_ratio"] > 2 * measured["zlib-9"]["total_ratio"]
    # Measured again, on records of another seed.
    unseen = [r for r in synthetic.records(150, seed=2) if r not in version.learnt_from]
    raw = sum(len(to_canonical(r)[1]) for r in unseen)
    coded = sum(map(len, version.codec.encode_batch(unseen)))
    assert raw / coded == pytest.approx(measured["nbmf"]["total_ratio"], rel=0.15)


def test_the_measured_sizes_are_those_of_the_published_version(version, train_config):
    """The id is not known while it is measured."""
    holdout = [r for r in version.learnt_from if _is_held_out(r, train_config.holdout_fraction)]
    assert len(holdout) == version.trained.data["holdout_records"]
    coded = sum(map(len, version.codec.encode_batch(holdout)))
    assert coded == version.trained.measured["all"]["nbmf"]["coded_bytes"]


def _is_held_out(record, fraction):
    from hashlib import blake2b

    kind, canonical = to_canonical(record)
    digest = blake2b(bytes([kind]) + canonical, digest_size=16).digest()
    return int.from_bytes(digest[-8:], "big") / 2**64 < fraction


def test_split_and_sample_do_not_depend_on_order(ray_session, train_config, tmp_path):
    """The same records in another order, in other files, with repetitions: the same to learn from and measure on."""
    records = synthetic.records(400, seed=3)
    shuffled = records + records[:50]
    random.Random(0).shuffle(shuffled)
    one = [open_source(synthetic.write_jsonl(tmp_path / "one.jsonl", records))]
    parts = [synthetic.write_jsonl(tmp_path / f"{n}.jsonl", shuffled[n::3]) for n in range(3)]
    small = train_config.model_copy(update={"max_training_bytes": 40_000, "max_holdout_bytes": 5_000})
    counted = []
    first = prepare(one, small, counted.append)
    second = prepare([open_source(p) for p in parts], small, lambda _: None)
    assert sum(counted) == first.records == 400
    assert (second.records, second.duplicates) == (450, 50)
    assert first.training == second.training
    assert first.holdout == second.holdout
    assert 30_000 < sum(len(s.canonical) for s in first.training) <= 40_000
    assert not {s.digest for s in first.training} & {s.digest for s in first.holdout}


@pytest.fixture
def legacy_store(tmp_path):
    """Records as stub blobs, some previews, some damaged."""
    folder = tmp_path / "old" / "records"
    folder.mkdir(parents=True)
    for number, record in enumerate(synthetic.records(90, seed=4)):
        payload = stub.encode(record, "lossless" if number % 10 else "semantic")
        text = json.dumps({"payload": payload, "cls": "note"})
        (folder / record_file_name(f"k{number}", "note")).write_text(text if number % 30 != 1 else text[:-9])
    return tmp_path / "old"


def test_rejected_records_of_a_legacy_store(ray_session, train_config, legacy_store, tmp_path):
    rejected = tmp_path / "rejected.jsonl"
    registry = Registry(tmp_path / "registry")
    trained = job.run([LegacyStore(legacy_store)], registry, train_config, "first", rejected_file=rejected)
    assert trained.data["rejected"] == {"not_json": 3, "stub_preview": 9}
    assert trained.data["training_records"] + trained.data["holdout_records"] == 78
    assert trained.data["holdout_records"] >= 15  # a fifth: of so few, 20 are wanted
    first, not_json, previews = trained.rejections
    assert first == f"Left out 12 of 90 records; each is a line of {rejected}:"
    assert not_json.startswith("  3 not_json: ")
    assert previews.startswith("  9 stub_preview: ")
    written = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert sorted(line["reason"] for line in written) == ["not_json"] * 3 + ["stub_preview"] * 9
    assert all(str(legacy_store) in line["place"] for line in written)


def test_only_a_smaller_version_replaces_the_stable_one(ray_session, train_config, tmp_path):
    """Few records, then many, then few; then the last again, as asked."""
    registry = Registry(tmp_path / "registry")

    def train(count, seed, **options):
        path = synthetic.write_jsonl(tmp_path / f"{seed}.jsonl", synthetic.records(count, seed=seed))
        return job.run([open_source(path)], registry, train_config, str(seed), **options)

    first, second, third = train(150, 5), train(900, 6), train(150, 7)
    assert (first.stable, second.stable, third.stable) == (True, True, False)
    assert [t.version for t in registry.channels().history] == [first.version_id, second.version_id]
    assert registry.channels().stable == second.version_id
    assert third.version_id in registry.list_ids()
    assert f"larger than the stable version {second.version_id[:12]} on {third.measured['records']} " in third.verdict
    coded = {name: row["coded_bytes"] for name, row in third.measured["all"].items()}
    assert coded.keys() == CODECS | {"stable"}
    assert coded["stable"] < coded["nbmf"] < coded["built-in"]
    assert third.measured["compared_with"] == {"built-in": None, "stable": second.version_id}
    assert registry.manifest(third.version_id).measured == third.measured
    forced = train(150, 8, make_stable=MakeStable.ALWAYS)
    assert forced.stable
    assert registry.channels().stable == forced.version_id


@pytest.fixture
def real_builtin(monkeypatch):
    """The version that ships with the package is what is in use, as for users."""
    from nbmf import builtin

    monkeypatch.setattr(builtin, "_DEFAULT", builtin.FOLDER / "DEFAULT")
    builtin.default_codec.cache_clear()
    yield builtin.default_codec()
    builtin.default_codec.cache_clear()


def test_a_version_that_is_worse_than_the_built_in_one_is_not_stable(
    ray_session, train_config, tmp_path, real_builtin, nbmf_command
):
    """Few short records, and only dictionaries learnt from them. What is said is what was measured."""
    records = [{"role": "user", "content": text} for text in synthetic.records(180, seed=9) if type(text) is str]
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", records)
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(train_config.model_dump() | {"dictionary_sizes_bytes": [4096]}))
    registry = Registry(tmp_path / "registry")
    common = ("--config", settings, "--runs", tmp_path / "runs", "--preset", "none", "-o", registry.location)
    result = nbmf_command("train", "-r", path, *common)
    assert result.code == 0, result.err
    assert registry.channels().stable is None
    (version_id,) = registry.list_ids()
    measured = registry.manifest(version_id).measured
    assert measured["compared_with"] == {"built-in": real_builtin.id}
    ours, builtin = (measured["all"][name]["coded_bytes"] for name in ("nbmf", "built-in"))
    assert ours > builtin
    out = result.out.decode()
    assert "nbmf, built-in version" in out
    assert f"was not made stable: {100 * (ours / builtin - 1):.0f} % larger than the built-in version on" in out
    assert f"nbmf versions promote {version_id[:12]} --registry {registry.location}" in out.replace("\n", " ")


def test_too_few_records(ray_session, train_config, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [*synthetic.records(30, seed=6)] * 2)
    with path.open("ab") as file:
        file.write(b"{\n")
    registry = Registry(tmp_path / "registry")
    expected = (
        r"30 distinct records found, 50 are needed .* \(61 read, 30 duplicates\)\. .* 1 not_json: .*few\.jsonl:61"
    )
    with pytest.raises(TooFewRecords, match=expected):
        job.run([open_source(path)], registry, train_config, "few")
    assert registry.list_ids() == []


def test_a_source_that_cannot_be_read_is_one_row_of_its_fault():
    """Which `prepare` raises as a RecordsError: as an error of a worker it would arrive wrapped in Ray's."""
    (row,) = _read(pickle.dumps(Gone()), pickle.dumps(Gone().plan()[0]))
    assert row["fault"] == "the disk is gone"


def test_sources_without_any_shard(ray_session, train_config, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(RecordsError, match="no records at all"):
        job.run([open_source(tmp_path)], Registry(tmp_path / "registry"), train_config, "empty")


def test_an_inexact_version_is_not_published(ray_session, train_config, tmp_path, monkeypatch):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(80, seed=7))

    def one_wrong(holdout, *_):
        return {"exact": len(holdout) - 1, "records": len(holdout)}

    monkeypatch.setattr(job, "evaluate", one_wrong)
    registry = Registry(tmp_path / "registry")
    with pytest.raises(job.InexactVersion, match="1 held-out records"):
        job.run([open_source(path)], registry, train_config, "wrong")
    assert registry.list_ids() == []


def test_records_of_several_modalities(ray_session, train_config, tmp_path, capsys):
    """Dictionaries hold nothing of an image; blobs take its bytes; text alone is compared with what is live."""
    made = modalities.records(200, seed=12)
    alone = [modalities.standard(octets) for _, octets in made[:20]]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*(record for record, _ in made), *alone])
    registry = Registry(tmp_path / "registry")
    trained = job.run([open_source(path)], registry, train_config, "modalities")
    codec = registry.load(trained.version_id)
    binary, measured = codec.manifest.data["binary"], codec.manifest.measured["all"]["nbmf"]
    assert (binary["records"], binary["alone"]) == (220, 20)
    assert codec.manifest.data["training_records"] + codec.manifest.data["holdout_records"] == 220
    told = " ".join(capsys.readouterr().err.split())
    assert "220 records with binary data" in told
    assert "20 not at all, as nothing else is in them." in told
    files = registry.fetch(trained.version_id)
    learnt = b"".join((files / name).read_bytes() for name in set(codec.manifest.dictionaries.values()))
    assert b"image_url" in learnt
    for _, octets in made:
        for written in (octets, modalities.standard(octets).encode(), modalities.url_safe(octets).encode()):
            assert not [at for at in range(0, len(written) - 12, 12) if written[at : at + 12] in learnt]
    for record, octets in modalities.records(12, seed=13):
        assert len(codec.encode(record)) < len(octets) + 150
    assert measured["text_bytes"] < measured["raw_bytes"] / 5
    assert measured["text_coded_bytes"] < measured["text_bytes"] / 2 < measured["coded_bytes"] / 2


def test_a_record_that_does_not_come_back_is_counted(train_config):
    from nbmf import Codec
    from train_app.results.evaluate import measure_chunk
    from train_app.samples.sample import Sample

    class Forgetful(Codec):
        def decode_batch(self, blobs, **_):
            return ["something else"] * len(blobs)

    samples = [Sample(*to_canonical(r), b"") for r in ("something else", "another")]
    assert [row[2] for row in measure_chunk(samples, Forgetful(), {})] == [True, False]
