"""What a student learns from a teacher: the loss, who may teach whom, and that it helps."""

import hybrids
import networks
import pytest
import steps
import torch

from nbmf.neural.config import PRESETS
from train_app.network.batches import StreamBatches
from train_app.network.distillation import Distillation
from train_app.network.failure import TrainingFailed
from train_app.network.model import NeuralModel
from train_app.network.start import Start
from train_app.network.teacher import taught_by
from train_app.vocabulary.tokenizer import TOKENIZER_FILE

SMALLER = {"n_layers": 2, "layer_kinds": "ca", "d_feed_forward": 32, "bigram_bits": 9, "trigram_bits": 8}
DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def stream():
    return hybrids.sample_stream()


@pytest.fixture(params=[hybrids.CONFIG, hybrids.CONFIG.with_(n_clusters=0, cluster_size=0)], ids=["two", "one"])
def config(request):
    """With a softmax in two steps, and in one."""
    return request.param


def batch_of(stream, config):
    return StreamBatches(stream, config).at(torch.arange(0, 512, 64), 64)


def logs(model, batch):
    """Of each token in the first step, and of each in the second [N, ...]."""
    y = model.trunk(batch).flatten(0, 1)
    members = model.member(y).view(len(y), model.config.n_clusters, -1) if model.member else None
    return torch.log_softmax(model.head(y), -1), None if members is None else torch.log_softmax(members, -1)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_loss_is_cross_entropy_with_both(stream, config, share):
    """The teacher has other n-gram tables: it is given rows of its own."""
    teacher, student = hybrids.hybrid(config, 1), hybrids.hybrid(config.with_(**SMALLER), 2)
    batch = batch_of(stream, student.config)
    got = Distillation(teacher, stream, DEVICE).loss(student, batch, share)
    ours, theirs = logs(student, batch), logs(teacher, batch_of(stream, config))
    targets = batch.targets_BT.flatten()
    counted, beyond = targets >= 0, targets - config.n_singles
    nats = -(theirs[0].exp() * ours[0]).sum(-1)[counted].sum()
    if config.n_clusters:
        rows = (beyond >= 0).nonzero()[:, 0]
        clusters = beyond[rows] // config.cluster_size
        nats = nats - (theirs[1][rows, clusters].exp() * ours[1][rows, clusters]).sum()
    expected = share * nats / counted.sum() + (1 - share) * student.loss(batch)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    wanted = torch.autograd.grad(expected, [*student.parameters()])
    for gradient, reference in zip(torch.autograd.grad(got, [*student.parameters()]), wanted, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-3, atol=1e-6)


def test_the_loss_in_bfloat16_is_near(stream, config):
    teacher, student = hybrids.hybrid(config, 1), hybrids.hybrid(config.with_(**SMALLER), 2)
    batch, distillation = batch_of(stream, student.config), Distillation(teacher, stream, DEVICE)
    with torch.autocast("cpu", torch.bfloat16):
        half = distillation.loss(student, batch)
    half.backward()
    assert half.item() == pytest.approx(distillation.loss(student, batch).item(), rel=0.01)
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_a_student_comes_nearer_to_its_teacher(stream, settings):
    config = hybrids.CONFIG
    teacher = hybrids.hybrid(config, 1)
    batch = batch_of(stream, config)

    def apart(model):
        with torch.no_grad():
            ours, theirs = logs(model, batch)[0], logs(teacher, batch)[0]
            return float((theirs.exp() * (theirs - ours)).sum(-1).mean())

    found = {}
    for share in (0.0, 0.9):
        torch.manual_seed(3)
        student = NeuralModel(config.with_(**{**SMALLER, "bigram_bits": 10, "trigram_bits": 10}))
        distillation = Distillation(teacher, stream, DEVICE)
        steps.train(
            student, stream, settings, 10, lambda model, batch, d=distillation, s=share: d.loss(model, batch, s)
        )
        found[share] = apart(student)
    assert found[0.9] < 0.8 * found[0.0]


@pytest.fixture
def teacher(tmp_path):
    """An earlier run's folder."""
    samples = networks.sample_records()[::6]
    run = tmp_path / "earlier"
    Start.of_model(hybrids.hybrid(), networks.vocabulary(samples), run / "checkpoint_1")
    (run / TOKENIZER_FILE).write_text(networks.vocabulary(samples).to_str())
    return run


def test_a_new_network_gets_the_teachers_vocabulary(teacher, tmp_path):
    config, checkpoint = taught_by(teacher, PRESETS["tiny"].with_(bigram_bits=9, trigram_bits=9), tmp_path / "run")
    assert (config.vocab_size, config.n_clusters, config.cluster_size) == (512, 8, 32)
    assert (config.kinds, config.bigram_bits) == ("aa", 9)
    assert checkpoint.is_file()
    assert (tmp_path / "run" / TOKENIZER_FILE).read_text() == (teacher / TOKENIZER_FILE).read_text()


def test_who_cannot_teach(teacher, tmp_path):
    with pytest.raises(TrainingFailed, match=r"earlier is no larger than its student: [0-9,]+ numbers, and"):
        taught_by(teacher, PRESETS["small"], tmp_path)
    vocabulary = networks.vocabulary(networks.sample_records()[::6], 400)
    smaller = hybrids.hybrid(hybrids.CONFIG.with_(vocab_size=400, n_clusters=4))
    start = Start.of_model(smaller, vocabulary, tmp_path / "start")
    with pytest.raises(TrainingFailed, match="earlier has another vocabulary than the one that is trained on"):
        taught_by(teacher, start, tmp_path)
    with pytest.raises(TrainingFailed, match=r"holds no tokenizer\.json"):
        taught_by(tmp_path, PRESETS["tiny"], tmp_path)
