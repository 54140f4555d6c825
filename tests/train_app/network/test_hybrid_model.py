"""Training's side of networks with convolutions and a softmax in two steps."""

from dataclasses import replace

import hybrids
import numpy as np
import pytest
import torch

from nbmf.neural.config import EXTRA_TOKENS, PRESETS
from nbmf.neural.torch_engine import TorchEngine
from train_app.integers.quantisation_loss import float_bits, quantisation_loss
from train_app.integers.quantise import calibrate, quantise
from train_app.network.batches import StreamBatches
from train_app.network.calibration import HEADROOM, Calibration
from train_app.network.dequantise import dequantise
from train_app.network.model import MEMBER_ROWS, NeuralModel, load_model, member_blocks
from train_app.network.schedule import make_optimisers

CONFIG = hybrids.CONFIG


@pytest.fixture(scope="module")
def stream():
    return hybrids.sample_stream()


@pytest.fixture(scope="module")
def batch(stream):
    return StreamBatches(stream, CONFIG).at(torch.arange(0, 512, 64), 64)


def whole_softmax(model, y):
    """Log-probabilities of all tokens [N, V]: those of singles, and the product of both steps'."""
    first = torch.log_softmax(model.head(y), dim=-1)
    logits = model.member(y).view(-1, CONFIG.n_clusters, CONFIG.cluster_size)
    second = torch.log_softmax(logits, dim=-1) + first[:, CONFIG.n_singles :, None]
    return torch.cat((first[:, : CONFIG.n_singles], second.flatten(1)), dim=1)


def test_the_loss_of_two_steps_is_that_of_the_whole_softmax(batch):
    model, targets = hybrids.hybrid(), batch.targets_BT.flatten()
    logs = whole_softmax(model, model.trunk(batch).flatten(0, 1))
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(len(logs)))
    expected = torch.nn.functional.nll_loss(logs, targets, ignore_index=-1)
    assert 0.1 < (targets >= CONFIG.n_singles).float().mean() < 0.9
    wanted = torch.autograd.grad(expected, [*model.parameters()])
    for chunk in (64, 1024):
        got = model.loss(batch, chunk)
        torch.testing.assert_close(got, expected)
        for gradient, reference in zip(torch.autograd.grad(got, [*model.parameters()]), wanted, strict=True):
            torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-6)


def test_nats_of_tokens_are_those_of_the_whole_softmax(batch):
    model, targets = hybrids.hybrid(), batch.targets_BT.flatten()
    with torch.no_grad():
        logs = whole_softmax(model, model.trunk(batch).flatten(0, 1))
        expected = torch.nn.functional.nll_loss(logs, targets, ignore_index=-1, reduction="none")
        for chunk in (64, 1024):
            torch.testing.assert_close(model.token_nats(batch, chunk).flatten(), expected, rtol=1e-4, atol=1e-5)


def test_the_loss_in_bfloat16_is_near(batch):
    model = hybrids.hybrid()
    with torch.autocast("cpu", torch.bfloat16):
        half = model.loss(batch)
    half.backward()
    assert half.item() == pytest.approx(model.loss(batch).item(), rel=0.01)
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("beyond", [[], [-3, -1], [5], [0, 31, 32, 95, -1, 95, 64]])
def test_blocks_hold_every_row_once(beyond):
    tokens = torch.tensor([*beyond, *[40] * 3 * MEMBER_ROWS] if len(beyond) > 5 else beyond, dtype=torch.long)
    found = {}
    shapes = set()
    for clusters, rows, places in member_blocks(tokens, 32, 3, 2 * MEMBER_ROWS):
        shapes.add((tuple(rows.shape), len(places)))
        of_rows = clusters[:, None].expand_as(rows).flatten()
        for cluster, row, place in zip(of_rows.tolist(), rows.flatten().tolist(), places.tolist(), strict=True):
            if place >= 0:
                assert row not in found
                found[row] = cluster * 32 + place
    assert found == {row: token for row, token in enumerate(tokens.tolist()) if token >= 0}
    assert len(shapes) == min(len(found), 1)


def test_records_do_not_see_one_another(stream):
    """All at once, and one at a time."""
    model = hybrids.hybrid()
    batch = StreamBatches(stream, CONFIG).at(torch.zeros(1, dtype=torch.long), int(stream.starts[6]))
    with torch.no_grad():
        nats = model.token_nats(batch)[0].double().numpy() / np.log(2)
    for begin, end in zip(stream.starts[:6], stream.starts[1:7], strict=True):
        assert nats[begin:end].sum() == pytest.approx(float_bits(model, stream.tokens_N[begin:end]), rel=1e-4)


def test_a_record_shorter_than_the_taps():
    model = hybrids.hybrid()
    assert float_bits(model, np.array([CONFIG.type_id("text"), 5], dtype=np.uint16)) > 0


@pytest.mark.parametrize(("kinds", "n_clusters"), [("cacc", 8), ("aaaa", 0)])
def test_integers_are_near(stream, kinds, n_clusters):
    config = CONFIG.with_(layer_kinds=kinds, n_clusters=n_clusters, cluster_size=32 if n_clusters else 0)
    model = hybrids.hybrid(config)
    batches = [StreamBatches(stream, config).at(torch.arange(begin, begin + 512, 64), 64) for begin in (0, 512)]
    engine = TorchEngine(quantise(model, calibrate(model, batches)), config)
    loss = quantisation_loss(model, engine, stream, step=2)
    assert loss["tokens"] > 500
    assert abs(loss["loss_percent"]) < 1.0


@pytest.mark.parametrize(("kinds", "n_clusters"), [("cacc", 8), ("aaaa", 0)])
def test_integers_become_floats_again(stream, kinds, n_clusters):
    """Of networks that hash others than their ids, too: the floats need as many bits, and so do their integers."""
    config = CONFIG.with_(layer_kinds=kinds, n_clusters=n_clusters, cluster_size=32 if n_clusters else 0)
    model = hybrids.hybrid(config)
    if n_clusters:
        model.hash_id_I = torch.randperm(config.n_input_ids, dtype=torch.int32)
    batches = [StreamBatches(stream, config, model.hash_ids()).at(torch.arange(0, 512, 64), 64)]
    weights = quantise(model, calibrate(model, batches))
    again = dequantise(weights, config)
    for engine in (TorchEngine(weights, config), TorchEngine(quantise(again, calibrate(again, batches)), config)):
        assert abs(quantisation_loss(again, engine, stream, step=2)["loss_percent"]) < 1.0
    assert 0.1 < again.layers[0].expand.weight.pow(2).mean().sqrt() < 0.4


def test_networks_with_one_step_for_all_channels_become_floats_too(stream):
    """As versions had them before there was one for each."""
    model = hybrids.hybrid()
    weights = quantise(model, calibrate(model, [StreamBatches(stream, CONFIG).at(torch.arange(0, 512, 64), 64)]))
    steps = weights.norm_step_ND.mean(axis=1)
    of_each = replace(weights, norm_step_ND=np.repeat(steps[:, None], CONFIG.d_model, axis=1))
    of_all = replace(weights, norm_step_ND=None, norm_factor_N=weights.norm_factor_N * steps)
    expected = dequantise(of_each, CONFIG).state_dict()
    for name, tensor in dequantise(of_all, CONFIG).state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)


def test_a_channel_far_above_the_others_costs_little(stream):
    """What one step for all channels would lose."""
    model = hybrids.hybrid()
    layer = model.stack()[1]
    layer.expand.weight.data[3] *= 5
    layer.contract.weight.data[:, 3] /= 25
    batches = [StreamBatches(stream, CONFIG).at(torch.arange(0, 512, 64), 64)]
    loss = quantisation_loss(model, TorchEngine(quantise(model, calibrate(model, batches)), CONFIG), stream, step=2)
    assert abs(loss["loss_percent"]) < 1.0


def test_calibration_keeps_exact_percentiles():
    rng = np.random.default_rng(0)
    parts = [torch.from_numpy(rng.normal(size=(4, 500, 7)).astype(np.float32)) for _ in range(3)]
    calibration = Calibration(6000)
    for part in parts:
        for name in ("0.hidden", "0.q1"):
            calibration.add(name, part)
    values = np.abs(np.concatenate([part.reshape(-1, 7).numpy() for part in parts]))
    got = calibration.steps("0.hidden") * 127 / HEADROOM["hidden"]
    np.testing.assert_allclose(got, np.percentile(values, 99.99, axis=0, method="lower"), rtol=1e-6)
    assert calibration.step("0.q1") * 127 == pytest.approx(np.percentile(values, 99.99, method="lower"))
    assert calibration.peak("0.hidden") == values.max()


def test_channels_without_activations_have_sensible_steps():
    calibration = Calibration(100)
    calibration.add("0.hidden", torch.cat((torch.ones(100, 3), torch.zeros(100, 1)), dim=1))
    steps = calibration.steps("0.hidden")
    assert 0.01 * steps[0] < steps[3] < steps[0]


def test_networks_with_hash_ids_are_kept_with_them(stream, tmp_path):
    old_ids = torch.cat((torch.randperm(512), 512 + torch.arange(EXTRA_TOKENS))).int()
    model = hybrids.hybrid()
    model.restore({**model.state_dict(), "hash_id_I": old_ids})
    torch.save({"config": CONFIG.to_dict(), "model": model.state_dict()}, tmp_path / "checkpoint.pt")
    loaded = load_model(tmp_path / "checkpoint.pt")
    np.testing.assert_array_equal(loaded.hash_ids(), old_ids)
    record = stream.tokens_N[: stream.starts[1]]
    assert float_bits(loaded, record) == float_bits(model, record) != float_bits(hybrids.hybrid(), record)
    batch = StreamBatches(stream, CONFIG, loaded.hash_ids()).at(torch.zeros(1, dtype=torch.long), 64)
    np.testing.assert_array_equal(quantise(loaded, calibrate(loaded, [batch])).hash_id_I, old_ids)


def test_networks_of_before_have_the_names_of_before():
    names = {*NeuralModel(PRESETS["tiny"]).state_dict()}
    assert names == {
        *(f"{table}.weight" for table in ("embedding", "bigram_memory", "trigram_memory", "memory_in", "head")),
        *(
            f"layers.{number}.{matrix}.weight"
            for number in range(2)
            for matrix in ("query_key_value", "attention_out", "expand", "contract")
        ),
    }


def test_every_parameter_is_optimised(settings):
    model = hybrids.hybrid()
    held = [p for o in make_optimisers(model, settings) for group in o.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.parameters()}
    assert len(held) == len({id(p) for p in held})
