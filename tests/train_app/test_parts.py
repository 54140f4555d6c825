"""Pieces of the network's training that need no cluster."""

import networks
import numpy as np
import pytest
import torch

from nbmf.neural.config import PRESETS
from nbmf.neural.torch_engine import TorchEngine
from train_app.integers.quantisation_loss import quantisation_loss
from train_app.integers.quantise import calibrate, quantise
from train_app.network.batches import StreamBatches
from train_app.network.model import ChunkedCrossEntropy, NeuralModel, rotary_frequencies
from train_app.network.muon import orthogonalise
from train_app.network.schedule import learning_rate_share
from train_app.samples.split import split
from train_app.samples.tokens import tokenise_samples


@pytest.fixture(scope="module")
def stream():
    samples = networks.sample_records()
    return tokenise_samples(samples[::8], networks.vocabulary(samples))


def test_quantisation_costs_little(stream):
    torch.manual_seed(0)
    model = NeuralModel(PRESETS["tiny"])
    torch.nn.init.normal_(model.head.weight, std=0.3)
    sample = StreamBatches(stream, model.config).at(torch.arange(0, 512, 64), 64)
    engine = TorchEngine(quantise(model, calibrate(model, [sample])), model.config)
    loss = quantisation_loss(model, engine, stream, step=2)
    assert loss["tokens"] > 500
    assert abs(loss["loss_percent"]) < 1.0


def test_batches_keep_records_apart(stream):
    config = PRESETS["tiny"]
    batch = StreamBatches(stream, config).at(torch.zeros(1, dtype=torch.long), int(stream.starts[3]))
    tokens, targets = batch.tokens_BT[0].numpy(), batch.targets_BT[0].numpy()
    ends = stream.starts[1:4] - 1
    assert (targets[ends] == -1).all()
    assert (tokens[stream.starts[:3]] >= config.vocab_size).all()
    inside = np.setdiff1d(np.arange(len(tokens) - 1), ends)
    np.testing.assert_array_equal(targets[inside], tokens[inside + 1])
    assert len(np.unique(batch.records_BT.numpy())) == 3


def test_chunked_cross_entropy_matches_autograd():
    torch.manual_seed(0)
    y, weight = torch.randn(50, 16, requires_grad=True), torch.randn(40, 16, requires_grad=True)
    targets = torch.randint(-1, 40, (50,))
    expected = torch.nn.functional.cross_entropy(y @ weight.T, targets, ignore_index=-1, reduction="sum")
    wanted = torch.autograd.grad(expected, (y, weight))
    got = ChunkedCrossEntropy.apply(y, weight, targets, 16)
    assert got.item() == pytest.approx(expected.item(), rel=1e-2)
    for gradient, reference in zip(torch.autograd.grad(got, (y, weight)), wanted, strict=True):
        assert (gradient - reference).norm() < 0.02 * reference.norm()


@pytest.mark.parametrize("shape", [(32, 64), (64, 32)])
def test_orthogonalise(shape):
    torch.manual_seed(0)
    singular = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
    assert singular.min() > 0.4
    assert singular.max() < 1.4


def test_learning_rate_warms_up_and_falls_to_its_floor(settings):
    assert learning_rate_share(0.0, 0, settings) == pytest.approx(1 / settings.warmup_steps)
    assert learning_rate_share(settings.cooldown_from, 1000, settings) == 1.0
    assert learning_rate_share(1.0, 1000, settings) == pytest.approx(settings.final_lr_share)


def test_rotation_is_periodic_in_whole_turns():
    turns = rotary_frequencies(PRESETS["small"])
    assert turns[0] == PRESETS["small"].rotary_period // 4
    assert turns[-1] >= 1
    assert (turns[:-1] >= turns[1:]).all()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_memory_dropout_hides_about_its_share_of_entries(stream, share):
    """Whole entries, the others as they are."""
    torch.manual_seed(0)
    model = NeuralModel(PRESETS["tiny"], memory_dropout=share)
    entries = torch.rand(8, 500, 16) + 0.5
    hidden = model.train()._hide_some(entries)
    shown = (hidden == entries).all(dim=-1)
    assert ((hidden == 0).all(dim=-1) == ~shown).all()
    assert (~shown).float().mean().item() == pytest.approx(share, abs=0.03)
    assert model._hide_some(entries).ne(hidden).any()


def test_nothing_is_hidden_in_evaluation_or_without_dropout(stream):
    torch.manual_seed(0)
    model = NeuralModel(PRESETS["tiny"], memory_dropout=0.5)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    batch = StreamBatches(stream, model.config).at(torch.arange(0, 512, 64), 64)
    entries = torch.rand(2, 5, 16)
    with torch.no_grad():
        assert model.loss(batch) != model.loss(batch)
        assert model.eval()._hide_some(entries) is entries
        assert model.loss(batch) == model.loss(batch)
        assert NeuralModel(PRESETS["tiny"]).train()._hide_some(entries) is entries


def test_the_split_keeps_tuning_records_out_of_training():
    samples = networks.sample_records()
    training, tuning = split(samples)
    assert len(training) + len(tuning) == len(samples)
    assert tuning
    assert not {s.digest for s in training} & {s.digest for s in tuning}
