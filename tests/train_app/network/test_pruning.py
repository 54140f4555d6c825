"""Fewer feed-forward channels and rows of n-gram tables: which go, what is left, and that it can be trained on."""

import hybrids
import networks
import pytest
import steps
import synthetic
import torch

from nbmf.neural.config import PRESETS
from train_app.network.batches import StreamBatches
from train_app.network.failure import TrainingFailed
from train_app.network.measure import bits
from train_app.network.pruning import Pruning, prune, pruned_start
from train_app.network.start import Start


@pytest.fixture(scope="module")
def stream():
    return hybrids.sample_stream()


def with_idle_channels(idle):
    """A network in which these channels of each feed-forward add nothing to the residual, and the others much."""
    model = hybrids.hybrid()
    for layer in model.stack():
        layer.contract.weight.data[:, idle] = 0
    return model


def test_channels_that_add_nothing_go_first(stream):
    idle = torch.arange(0, 64, 2)
    model = with_idle_channels(idle)
    smaller = prune(model, stream, Pruning(channels=0.5))
    assert smaller.config == hybrids.CONFIG.with_(d_feed_forward=32)
    for layer, old in zip(smaller.stack(), model.stack(), strict=True):
        assert torch.equal(layer.expand.weight, old.expand.weight[1::2])
        torch.testing.assert_close(layer.contract.weight, old.contract.weight[:, 1::2])
    assert bits(smaller, stream).per_byte == pytest.approx(bits(model, stream).per_byte, abs=1e-3)


def test_what_goes_is_made_good_by_the_others(stream):
    """Each channel is there twice, once with less worth than any of the others: without it, its twin does its work."""
    model = hybrids.hybrid()
    for layer in model.stack():
        expand, contract = layer.expand.weight.data, layer.contract.weight.data
        expand[:] = torch.nn.functional.normalize(expand, dim=1)
        expand[1::2] = expand[::2]
        contract[:] = torch.nn.functional.normalize(contract, dim=0)
        contract[:, 1::2] *= 0.03
    assert _difference(model, stream) < 1e-3
    for layer in model.stack():
        layer.expand.weight.data[1::2] = -layer.expand.weight.data[::2]
    assert _difference(model, stream) > 0.01  # none has a twin


@torch.no_grad()
def _difference(model, stream):
    """Of the last activations with half of the channels from those with all, in their own root mean square."""
    batch = StreamBatches(stream, model.config).at(torch.arange(0, 512, 64), 64)
    return float((prune(model, stream, Pruning(channels=0.5)).trunk(batch) - model.trunk(batch)).square().mean().sqrt())


def test_rows_become_their_mean_by_how_often_they_are_read(stream):
    model = hybrids.hybrid()
    smaller = prune(model, stream, Pruning(halvings=2))
    assert smaller.config == hybrids.CONFIG.with_(bigram_bits=8, trigram_bits=8)
    whole = StreamBatches(stream, model.config).at(torch.zeros(1, dtype=torch.long), len(stream.tokens_N))
    for name, read in (("bigram_memory", whole.bigrams_BT), ("trigram_memory", whole.trigrams_BT)):
        reads = torch.bincount(read[0], minlength=1024).view(256, 4, 1).float()
        rows = getattr(model, name).weight.data.view(256, 4, 16)
        often = reads.sum(dim=(1, 2)) > 60
        assert often.sum() >= 2
        expected = ((rows * reads).sum(dim=1) / reads.sum(dim=1))[often]
        torch.testing.assert_close(getattr(smaller, name).weight.data[often], expected, rtol=0, atol=1e-3)


def test_the_rows_are_those_that_the_smaller_network_reads(stream):
    """Tables that say where in 256 parts of it a row is: halved, they say the same."""
    model = hybrids.hybrid()
    for table in (model.bigram_memory, model.trigram_memory):
        part = torch.arange(1024)[:, None].expand(-1, 16) // 4
        table.weight.data = part.float()
    smaller = prune(model, stream, Pruning(halvings=2))
    for name in ("bigram_memory", "trigram_memory"):
        torch.testing.assert_close(getattr(smaller, name).weight, torch.arange(256)[:, None].expand(-1, 16).float())
    torch.testing.assert_close(torch.tensor(bits(smaller, stream).per_byte), torch.tensor(bits(model, stream).per_byte))


def test_it_is_trained_on(stream, settings):
    smaller = prune(hybrids.hybrid(), stream, Pruning(0.5, 1))
    before = bits(smaller, stream).per_byte
    steps.train(smaller, stream, settings, 12)
    assert bits(smaller, stream).per_byte < 0.98 * before


@pytest.mark.parametrize(("share", "channels"), [(0.1, 928), (0.3, 720), (0.5, 512), (0.99, 16)])
def test_channels_are_kept_in_sixteens(share, channels):
    assert Pruning(share).sizes(PRESETS["small"]).d_feed_forward == channels


def test_too_few_rows(tmp_path):
    samples = networks.sample_records()[::6]
    start = Start.of_model(hybrids.hybrid(), networks.vocabulary(samples), tmp_path)
    with pytest.raises(TrainingFailed, match="cannot prune the network that far: bigram_bits is a whole number from 1"):
        pruned_start(start, samples, Pruning(halvings=10), tmp_path)
    found = pruned_start(start, samples, Pruning(0.25, 3), tmp_path)
    assert (found.config.d_feed_forward, found.config.bigram_bits) == (48, 7)


def test_there_is_nothing_to_prune(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "some.jsonl", [1])
    for option in (("--prune", "0.5"), ("--halve-tables", "1")):
        result = nbmf_command("train", "-r", path, "--preset", "tiny", *option)
        told = " ".join(result.err.replace("│", " ").split())
        assert result.code == 2
        assert "needs a network to start with: --preset finetune, or --init-from" in told
