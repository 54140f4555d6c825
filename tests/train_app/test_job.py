"""Training runs through Ray: what is published, what its manifest says, what is refused."""

import json
import random

import pytest
import synthetic

from cluster.errors import RecordsError, TooFewRecords
from cluster.registry import Registry
from cluster.sources import LegacyStore, open_source
from nbmf import stub
from nbmf.payload import to_canonical
from nbmf.store.record_file import file_name as record_file_name
from train_app import job
from train_app.prepare import prepare

CODECS = {"zlib-9", "zstd-19", "nbmf"}


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
    size = sum(len(to_canonical(r)[1]) for r in version.learnt_from)
    assert data["training_bytes"] + data["holdout_bytes"] == size


def test_the_measurements_fit_together(version, manifest):
    measured, data = manifest.measured, manifest.data
    assert measured == version.trained.measured
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


def test_a_second_version_does_not_replace_the_stable_one(ray_session, train_config, legacy_store, tmp_path):
    registry = Registry(tmp_path / "registry")
    first = job.run([LegacyStore(legacy_store)], registry, train_config, "first")
    assert first.data["rejected"] == {"not_json": 3, "stub_preview": 9}
    assert first.data["training_records"] + first.data["holdout_records"] == 78
    more = open_source(synthetic.write_jsonl(tmp_path / "more.jsonl", synthetic.records(60, seed=5)))
    second = job.run([LegacyStore(legacy_store), more], registry, train_config, "second")
    assert second.version_id != first.version_id
    assert registry.list_ids() == sorted([first.version_id, second.version_id])
    assert registry.channels().stable == first.version_id
    assert [t.version for t in registry.channels().history] == [first.version_id]


def test_too_few_records(ray_session, train_config, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [*synthetic.records(30, seed=6)] * 2)
    with path.open("ab") as file:
        file.write(b"{\n")
    registry = Registry(tmp_path / "registry")
    expected = r"30 distinct records found, 50 are needed .* \(61 read, 30 duplicates, 1 not_json\)"
    with pytest.raises(TooFewRecords, match=expected):
        job.run([open_source(path)], registry, train_config, "few")
    assert registry.list_ids() == []


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


def test_a_record_that_does_not_come_back_is_counted(train_config):
    from nbmf import Codec
    from train_app.evaluate import measure_chunk
    from train_app.prepare import Sample

    class Forgetful(Codec):
        def decode(self, blob, **_):
            return "something else"

    samples = [Sample(*to_canonical(r), b"") for r in ("something else", "another")]
    assert [row[2] for row in measure_chunk(samples, Forgetful())] == [True, False]
