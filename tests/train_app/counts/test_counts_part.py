"""The learned part of a version that has counts and no network; needs no cluster."""

import networks
import pytest

from nbmf import Codec, errors, inspect, manifest
from nbmf.neural.config import NeuralConfig
from nbmf.neural.counts_file import load_counts
from nbmf.payload import from_canonical
from train_app import learned_files as version
from train_app.learned_part import COUNTS_ONLY, STEPS, LearningPlan, train_part


@pytest.fixture(scope="module")
def samples():
    return networks.sample_records()


@pytest.fixture(scope="module")
def part(samples, settings, tmp_path_factory):
    """(fields, files, measurements, calls of on_step), fitted on records of its own."""
    steps = []
    plan = LearningPlan(COUNTS_ONLY, settings, tmp_path_factory.mktemp("runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(version, "_FIT_BYTES", 9000)
        patch.setattr(version, "_GATE_STEPS", 2)
        validation = samples[::6]
        training = [sample for index, sample in enumerate(samples) if index % 6]
        found = train_part(training, validation, plan, lambda _line: None, lambda: steps.append(1))
    return *found, len(steps)


@pytest.fixture(scope="module")
def folder(part, tmp_path_factory):
    fields, files, _, _ = part
    parent = tmp_path_factory.mktemp("versions")
    return parent / manifest.write_version(parent, {"name": "counts", "created_at": "", **fields}, files)


def test_it_names_what_it_has(part, settings):
    fields, files, measured, steps = part
    assert fields["architecture"] == "counts"
    assert fields["minimum_reader"] == 2
    assert "neural" not in fields
    assert fields["counts"]["max_payload_bytes"] == settings.max_counts_payload_bytes
    assert fields["counts"]["decode_us_per_byte"] > 0
    assert files.keys() == {fields["counts"][name] for name in ("counts", "tokenizer", "constants")}
    assert set(measured) == {"counts", "counts_left_out"}
    assert steps == STEPS


def test_the_vocabulary_is_that_of_the_small_network(part):
    counts = load_counts(part[1][part[0]["counts"]["counts"]])
    assert counts.vocab_size <= NeuralConfig().vocab_size


def test_a_version_of_it_is_exact(folder, samples):
    codec = Codec(*manifest.read_version(folder))
    assert codec.manifest.minimum_reader == 2
    smaller = 0
    for sample in samples[::6]:
        payload = from_canonical(sample.kind, sample.canonical)
        blob = codec.encode(payload)
        assert codec.decode(blob) == payload
        smaller += inspect(blob).coder == "counts"
    assert smaller > len(samples[::6]) / 2


def test_a_reader_of_version_1_refuses_it(folder, monkeypatch):
    monkeypatch.setattr(manifest, "READER", 1)
    with pytest.raises(errors.UnsupportedFormat, match="needs a reader of version formats up to 2; this nbmf has 1"):
        Codec.load(folder)


def test_counts_have_a_bound(samples, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(version, "_FIT_BYTES", 3000)
    monkeypatch.setattr(version, "_GATE_STEPS", 1)
    small = settings.model_copy(update={"max_counts_bytes": 20_000})
    plan = LearningPlan(COUNTS_ONLY, small, tmp_path)
    fields, files, _ = train_part(samples, [], plan, lambda _line: None, lambda: None)
    assert 10_000 < len(files[fields["counts"]["counts"]]) <= 20_000
