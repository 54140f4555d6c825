"""A tiny network through the real Ray Train job: it learns, goes on where it stopped, becomes an exact version."""

from pathlib import Path

import lone_worker
import networks
import pytest
import tensorboard_events
import torch
from tokenizers import Tokenizer

from nbmf import Codec, inspect
from nbmf.coders import CountsCoder, NeuralCoder
from nbmf.manifest import read_version, write_version
from nbmf.neural.config import PRESETS
from nbmf.neural.weights import IntegerWeights
from nbmf.payload import from_canonical, to_canonical
from train_app import learned_files as version
from train_app import learned_part
from train_app.learned_part import LearningPlan, train_part
from train_app.network.failure import FILE, TrainingFailed
from train_app.network.pruning import Pruning
from train_app.network.run_log import EVENTS_FOLDER
from train_app.network.settings import FINETUNE
from train_app.network.start import Start
from train_app.network.train import train_network
from train_app.samples.split import split
from train_app.samples.tokens import tokenise_samples
from train_app.vocabulary.tokenizer import TOKENIZER_FILE


@pytest.fixture(scope="module")
def samples():
    return networks.sample_records()


def run(samples, settings, folder):
    lines = []
    model, _, checkpoint = train_network(*split(samples), PRESETS["tiny"], settings, folder, lines.append)
    assert Path(lines.pop()["records_page"]).is_file()
    return model, checkpoint, [line for line in lines if "waiting" not in line]  # for a busy machine


@pytest.fixture(scope="module")
def first(ray_session, samples, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, run(samples, settings, folder)


def test_it_learns(first):
    _, (model, checkpoint, lines) = first
    losses = [line["loss_nats"] for line in lines if "loss_nats" in line]
    assert losses[-1] < losses[0] - 0.5
    assert lines[-1]["final"]
    assert 0 < lines[-1]["validation_bits_per_byte"] < 8
    assert checkpoint.is_file()
    assert model.config.vocab_size == 512


def logged(lines, name):
    return [(line["step"], pytest.approx(line[name])) for line in lines if name in line]


def test_tensorboard_has_every_number(first):
    """Of a run that is over in seconds: each report of the loss, the last one too, and each validation."""
    folder, (_, _, lines) = first
    found = tensorboard_events.scalars(folder / EVENTS_FOLDER)
    for name in ("loss_nats", "bits_per_byte", "learning_rate", "tokens_per_s", "validation_bits_per_byte"):
        assert found[name] == logged(lines, name)
    assert len(found["loss_nats"]) > 3
    assert len(found["validation_bits_per_byte"]) == 1
    last = lines[-1]["step"]
    assert found["loss_nats"][-1][0] == found["validation_bits_per_byte"][-1][0] == last
    rates = [value for _, value in found["learning_rate"]]
    assert 0 < rates[-1] < max(rates) <= 0.02 + 1e-6


@pytest.mark.slow
def test_the_same_run_goes_on_with_more_budget(first, samples, settings):
    folder, (_, _, lines) = first
    longer = settings.model_copy(update={"max_tokens": 2 * settings.max_tokens, "checkpoint_interval_s": 0.5})
    _, _, more = run(samples, longer, folder)
    assert (more[0]["step"], more[0]["workers"]) == (lines[-1]["step"], 1)
    found = tensorboard_events.scalars(folder / EVENTS_FOLDER)
    assert found["loss_nats"] == logged([*lines, *more], "loss_nats")
    assert found["validation_bits_per_byte"] == logged([*lines, *more], "validation_bits_per_byte")
    assert len(found["validation_bits_per_byte"]) > 2
    assert more[-1]["tokens"] >= longer.max_tokens
    first_losses = [line["loss_nats"] for line in lines if "loss_nats" in line]
    assert next(line["loss_nats"] for line in more if "loss_nats" in line) < first_losses[0] - 0.5


@pytest.mark.slow
def test_a_hybrid_with_clusters_learns(ray_session, samples, settings, tmp_path):
    """Its clusters are learnt before, for as many tokens as there are, and it becomes integers."""
    asked = PRESETS["tiny"].with_(vocab_size=60_000, layer_kinds="ca", n_clusters=1800, cluster_size=32)
    training, validation = split(samples)
    lines = []
    model, tokenizer, _ = train_network(training, validation, asked, settings, tmp_path / "tiny", lines.append)
    config = model.config
    assert config.vocab_size == tokenizer.get_vocab_size() < 100_000
    assert config.n_clusters == (config.vocab_size - config.n_singles) // 32 > 10
    losses = [line["loss_nats"] for line in lines if "loss_nats" in line]
    assert losses[-1] < losses[0] - 0.5
    learned = version.Learned({})
    version._quantise(model, training, tokenizer, tokenise_samples(validation, tokenizer), learned)
    assert abs(learned.measured["quantisation"]["loss_percent"]) < 2


@pytest.mark.slow
def test_two_workers_agree(ray_session, samples, settings, tmp_path):
    two = settings.model_copy(update={"num_workers": (1, 2)})  # there is room for both
    _, _, lines = run(samples, two, tmp_path / "tiny")
    assert lines[0]["workers"] == 2
    losses = [line["loss_nats"] for line in lines if "loss_nats" in line]
    assert losses[-1] < losses[0] - 0.5
    assert lines[-1]["tokens"] % (2 * two.batch_size * two.sequence_length) == 0


@pytest.mark.slow
def test_a_run_that_fails_is_one_line(ray_session, samples, settings, tmp_path):
    """What all of it was is in a file."""
    once = settings.model_copy(update={"max_failures": 0})
    begin = Start(PRESETS["tiny"], networks.vocabulary(samples), tmp_path / "no weights")
    with pytest.raises(TrainingFailed, match=r"FileNotFoundError: .*no weights") as raised:
        train_network(*split(samples), begin, once, tmp_path / "tiny", lambda _line: None)
    assert "\n" not in str(raised.value)
    assert f"all of it: {tmp_path / 'tiny' / FILE}" in str(raised.value)
    assert "Traceback" in (tmp_path / "tiny" / FILE).read_text()


@pytest.mark.slow
def test_the_version_is_exact(ray_session, samples, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(version, "_FIT_BYTES", 9000)
    monkeypatch.setattr(version, "_GATE_STEPS", 2)
    plan = LearningPlan("tiny", settings, tmp_path / "runs")
    fields, files, measured = train_part(samples, [], plan, lambda _line: None, lambda: None)
    assert abs(measured["quantisation"]["loss_percent"]) < 2
    assert fields["neural"]["decode_us_per_byte"] > 0
    assert fields["neural"]["counts"] == fields["counts"]["counts"]
    assert fields["minimum_reader"] == 2
    assert (fields["architecture"], measured["layer_kinds"]) == ("transformer", "aa")
    manifest = {"name": "tiny", "created_at": "", **fields}
    codec = Codec(*read_version(tmp_path / write_version(tmp_path, manifest, files)))
    coders = {type(coder): coder for coder in codec.coders.by_number.values()}
    for sample in samples[::5]:
        payload = from_canonical(sample.kind, sample.canonical)
        blob = codec.encode(payload)
        assert inspect(blob).coder in ("neural", "counts")
        assert to_canonical(codec.decode(blob)) == (sample.kind, sample.canonical)
        for coder in (coders[NeuralCoder], coders[CountsCoder]):
            body = coder.encode(sample.kind, sample.canonical)
            assert coder.decode(sample.kind, body, len(sample.canonical)) == sample.canonical


@pytest.mark.slow
def test_a_new_run_starts_from_the_weights_of_an_earlier_one(first, samples, settings, tmp_path):
    folder, (_, _, lines) = first
    short = settings.model_copy(update={"max_tokens": 3000})
    begin = Start.of_run(folder, PRESETS["tiny"])
    model, tokenizer, checkpoint = train_network(*split(samples), begin, short, tmp_path / "next", (more := []).append)
    fresh, started = (next(line for line in each if "loss_nats" in line) for each in (lines, more))
    assert (fresh["step"], started["step"]) == (10, 10)
    assert started["loss_nats"] < fresh["loss_nats"] - 0.5
    assert more[-1]["tokens"] < lines[-1]["tokens"]
    assert tokenizer.to_str() == Tokenizer.from_file(str(folder / TOKENIZER_FILE)).to_str()
    assert checkpoint.is_relative_to(tmp_path / "next")
    assert model.config.vocab_size == 512


def test_a_version_is_trained_on_by_this_process(samples, settings, tmp_path, monkeypatch):
    """All but the job of Ray Train, which takes most of the time."""
    monkeypatch.setattr(learned_part, "train_network", lone_worker.train_network)
    check_training_on(samples, settings, tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_version_is_trained_on(ray_session, samples, settings, tmp_path, monkeypatch):
    check_training_on(samples, settings, tmp_path, monkeypatch)


def check_training_on(samples, settings, tmp_path, monkeypatch):
    """A network of integers learns: with its own vocabulary, and becomes exact integers again."""
    monkeypatch.setattr(version, "_FIT_BYTES", 9000)
    monkeypatch.setattr(version, "_GATE_STEPS", 2)
    before = networks.write_neural_version(tmp_path, networks.untrained_files(**networks.TWO_STEPS))
    epochs = settings.model_copy(update={"max_tokens": 0, "max_epochs": 0.8})
    plan = LearningPlan(FINETUNE, epochs, tmp_path / "runs", before)
    samples, lines = samples[::2], []
    fields, files, measured = train_part(samples, [], plan, lines.append, lambda: None)
    losses = [line["loss_nats"] for line in lines if "loss_nats" in line]
    assert losses[-1] < losses[0] - 0.3
    assert abs(measured["quantisation"]["loss_percent"]) < 2
    _, manifest, old = read_version(before)
    part = fields["neural"]
    assert fields["architecture"] == "hybrid"
    assert files[part["tokenizer"]] == old[manifest.neural.tokenizer]
    assert files[part["model"]] != old[manifest.neural.model]
    after = Codec(*read_version(tmp_path / write_version(tmp_path, {"name": "on", "created_at": "", **fields}, files)))
    untrained = Codec(*read_version(before))
    payloads = [from_canonical(sample.kind, sample.canonical) for sample in samples[::5]]
    blobs = [after.encode(payload, effort="max") for payload in payloads]
    assert [to_canonical(after.decode(blob)) for blob in blobs] == [to_canonical(payload) for payload in payloads]
    assert sum(map(len, blobs)) < 0.8 * sum(len(untrained.encode(payload, effort="max")) for payload in payloads)


@pytest.mark.slow
def test_a_version_is_pruned_and_taught_by_itself(ray_session, samples, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(version, "_FIT_BYTES", 9000)
    monkeypatch.setattr(version, "_GATE_STEPS", 2)
    before = networks.write_neural_version(tmp_path, networks.untrained_files(**networks.TWO_STEPS))
    epochs = settings.model_copy(update={"max_tokens": 0, "max_epochs": 0.5})
    plan = LearningPlan(FINETUNE, epochs, tmp_path / "runs", before, pruning=Pruning(0.5, 2), teacher=before)
    lines = []
    fields, files, measured = train_part(samples, [], plan, lines.append, lambda: None)
    losses = [line["loss_nats"] for line in lines if "loss_nats" in line]
    assert losses[-1] < losses[0]
    _, old = IntegerWeights.load(read_version(before)[2]["model.safetensors"])
    _, new = IntegerWeights.load(files[fields["neural"]["model"]])
    assert new == old.with_(d_feed_forward=old.d_feed_forward // 2, bigram_bits=8, trigram_bits=8)
    assert measured["pruning"] == {"channels": 0.5, "halvings": 2}
    assert measured["teacher"] == before.name
    codec = Codec(*read_version(tmp_path / write_version(tmp_path, {"name": "on", "created_at": "", **fields}, files)))
    payloads = [from_canonical(sample.kind, sample.canonical) for sample in samples[::20]]
    assert [codec.decode(codec.encode(payload, effort="max")) for payload in payloads] == payloads


@pytest.mark.slow
def test_a_new_network_is_taught(first, samples, settings, tmp_path):
    """By an earlier run: its vocabulary, and a loss that is not less than the teacher's uncertainty."""
    folder, _ = first
    small = settings.model_copy(update={"network": {"d_model": 16, "d_shift": 4}, "max_tokens": 6000})
    plan = LearningPlan("tiny", small, tmp_path / "runs", teacher=folder)
    _, files, measured = train_part(samples, [], plan, lambda _line: None, lambda: None)
    assert files["tokenizer.json"].decode() == (folder / TOKENIZER_FILE).read_text()
    assert measured["teacher"] == folder.name


@pytest.mark.slow
def test_what_fits_the_validation_records_best_is_kept(ray_session, samples, settings, tmp_path):
    """Here what was there before training."""
    files = networks.untrained_files(**networks.TWO_STEPS)
    tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
    begin = Start.of_integers(files["model.safetensors"], tokenizer, tmp_path / "begin")
    harmful = settings.model_copy(update={"max_tokens": 1000, "muon_lr": 5.0, "head_lr": 5.0, "embedding_lr": 5.0})
    lines = []
    model, _, _ = train_network(*split(samples), begin, harmful, tmp_path / "run", lines.append)
    kept, first = model.state_dict(), torch.load(begin.checkpoint)["model"]
    assert lines[-1]["validation_bits_per_byte"] > 2
    assert all(torch.equal(kept[name], first[name]) for name in first)


def test_the_run_folder_depends_on_records_settings_and_where_it_starts(samples, settings, tmp_path):
    plan = LearningPlan("tiny", settings, tmp_path)
    assert plan.run_folder(samples) == plan.run_folder(samples)
    assert plan.run_folder(samples) != plan.run_folder(samples[1:])
    other = LearningPlan("tiny", settings.model_copy(update={"seed": 2}), tmp_path)
    assert plan.run_folder(samples) != other.run_folder(samples)
    # How it is worked out may change when it goes on; what a worker takes at once is a step where no step is given.
    for asked, same in (({"num_workers": 2}, True), ({"batch_size": 9}, False), ({"global_batch_size": 9}, False)):
        changed = LearningPlan("tiny", settings.model_copy(update=asked), tmp_path)
        assert (changed.run_folder(samples) == plan.run_folder(samples)) == same
    given = [settings.model_copy(update={"global_batch_size": 8, "batch_size": size}) for size in (8, 4)]
    assert len({LearningPlan("tiny", each, tmp_path).run_folder(samples) for each in given}) == 1
    started = [LearningPlan("tiny", settings, tmp_path, tmp_path / name) for name in ("one", "two")]
    others = [LearningPlan("tiny", settings, tmp_path, pruning=Pruning(share)) for share in (0.3, 0.5)]
    others.append(LearningPlan("tiny", settings, tmp_path, teacher=tmp_path))
    assert len({each.run_folder(samples) for each in (plan, *started, *others)}) == 6
