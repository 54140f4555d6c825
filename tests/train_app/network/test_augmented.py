"""Altered copies of records in training: of what is learnt from alone, and for the network alone."""

import pytest
import synthetic
import yaml

from cluster.errors import ConfigError
from cluster.registry import Registry
from nbmf.payload import to_canonical
from train_app import learned_part
from train_app.augment.names import Augmentation
from train_app.learned_part import LearningPlan, train_part
from train_app.network.failure import TrainingFailed
from train_app.network.settings import NeuralTrainConfig
from train_app.samples.sample import Sample, digest_of


@pytest.fixture
def samples():
    """Each with a number that no other has."""
    found = []
    for number in range(200):
        kind, canonical = to_canonical({"number": f"<{number}>", "user_name": "a", "of": ["b"]})
        found.append(Sample(kind, canonical, digest_of(kind, canonical)))
    return found


def numbers_of(samples):
    return {sample.canonical[sample.canonical.index(b"<") : sample.canonical.index(b">")] for sample in samples}


@pytest.mark.parametrize("own_validation", [False, True])
def test_what_the_training_is_given(samples, settings, monkeypatch, tmp_path, own_validation):
    """Copies of none of the records that it is watched by."""
    given = {}

    def train_network(training, validation, begin, settings, folder, on_line, teacher, copies):
        given.update(training=training, validation=validation, copies=copies)
        raise TrainingFailed("enough")

    monkeypatch.setattr(learned_part, "train_network", train_network)
    augment = (Augmentation.KEY_ORDER, Augmentation.KEY_NAMES)
    plan = LearningPlan("tiny", settings.model_copy(update={"augment": augment, "augment_copies": 2}), tmp_path)
    lines = []
    parts = (samples[20:], samples[:20]) if own_validation else (samples, [])
    with pytest.raises(TrainingFailed, match="enough"):
        train_part(*parts, plan, lines.append, lambda: None)
    training, validation, copies = given.values()
    assert len(training) + len(validation) == len(samples)
    assert numbers_of(copies) == numbers_of(training)
    assert not numbers_of(copies) & numbers_of(validation)
    assert len(copies) == 2 * len(training)
    assert not {copy.canonical for copy in copies} & {sample.canonical for sample in samples}
    (told,) = lines
    assert list(told["augmented"]) == ["key-order", "key-names"]
    assert sum(told["augmented"].values()) == len(copies)
    assert min(told["augmented"].values()) > len(training) // 2


def test_settings(settings):
    def parsed(**fields):
        return NeuralTrainConfig.model_validate(settings.model_dump() | fields)

    several = parsed(augment=["turns", "key-order", "turns"])
    assert several.augment == (Augmentation.KEY_ORDER, Augmentation.TURNS)
    with pytest.raises(ValueError, match="Input should be 'key-order', 'key-names', "):
        parsed(augment=["spelling"])
    assert several.what_is_learnt() != settings.what_is_learnt()
    assert several.what_is_learnt() != parsed(augment=["turns", "key-order"], augment_copies=2).what_is_learnt()
    # A run without copies that was stopped before there were any goes on.
    assert "augment" not in parsed(augment_copies=2).what_is_learnt()


def test_it_needs_a_network_to_train(nbmf_command, error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "some.jsonl", [1])
    for preset in ("none", "counts", "builtin"):
        result = nbmf_command("train", "-r", path, "--preset", preset, "--augment", "values")
        assert result.code == 2
        told = " ".join(result.err.replace("│", " ").split())
        assert "Invalid value for --augment: needs a --preset that trains a network" in told
    (tmp_path / "network.yaml").write_text("augment: [spelling]")
    message = error_of("train", "-r", path, "--preset", "tiny", "--network-config", tmp_path / "network.yaml")
    assert message.startswith(f"nbmf: {ConfigError.code}:")
    assert "augment" in message


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_version_of_copies(nbmf_command, tmp_path, train_config, settings):
    """Told, and in the manifest. Vocabulary, counts and what is measured on are those without copies."""
    path = synthetic.write_jsonl(tmp_path / "memory.jsonl", synthetic.records(240, seed=19))
    files = {}
    for name, fields in (
        ("data", train_config.model_dump(mode="json")),
        ("network", settings.model_copy(update={"max_tokens": 6000}).model_dump(mode="json")),
    ):
        files[name] = tmp_path / f"{name}.yaml"
        files[name].write_text(yaml.safe_dump(fields))
    manifests = []
    for name, options in (("without", ()), ("with", ("--augment", "key-order", "--augment", "turns"))):
        registry = Registry(tmp_path / name)
        result = nbmf_command(
            *("train", "-r", path, "--out", registry.location, "--config", files["data"], "--no-dictionaries"),
            *("--preset", "tiny", "--network-config", files["network"], "--runs", tmp_path / "runs", *options),
        )
        assert result.code == 0, result.err
        (version,) = registry.list_ids()
        manifests.append(registry.manifest(version))
    without, augmented = manifests
    found = augmented.measured["augmentation"]
    assert found["copies_of_a_record"] == 1
    assert set(found["copies"]) == {"key-order", "turns"}
    assert found["copies"]["key-order"] > 50
    assert found["bytes"] > 5000
    counts = f"({found['copies']['key-order']} key-order, {found['copies']['turns']} turns)"
    assert f"Learnt from besides: {sum(found['copies'].values())} altered copies {counts}.\n" in result.out.decode()
    assert f"learnt from besides: {sum(found['copies'].values())} altered copies {counts}" in result.err
    assert "augmentation" not in without.measured
    assert without.data == augmented.data
    assert without.measured["counts"] == augmented.measured["counts"]
    assert without.files["tokenizer.json"] == augmented.files["tokenizer.json"]
    assert without.files["model.safetensors"] != augmented.files["model.safetensors"]
