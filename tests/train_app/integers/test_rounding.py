"""Rounding of weights by the inputs of their product."""

import hybrids
import networks
import numpy as np
import pytest
import torch

from train_app.integers.quantise import calibrate, quantise, quantise_rows
from train_app.integers.rounding import round_rows
from train_app.network.batches import StreamBatches
from train_app.samples.tokens import tokenise_samples

RNG = np.random.default_rng(0)


def correlated(n_inputs, n_columns, rank):
    mixing = RNG.normal(size=(rank, n_columns)) * RNG.exponential(size=n_columns)
    return np.rint(20 * RNG.normal(size=(n_inputs, rank)) @ mixing)


def error(weight, rounded, inputs):
    integers, steps = rounded
    assert integers.dtype == np.int8
    assert np.abs(integers.astype(int)).max() <= 127
    return np.square(inputs @ (weight - integers * steps[:, None]).T).sum()


@pytest.mark.parametrize(("n_inputs", "rank"), [(2000, 150), (2000, 20), (30, 150), (1, 1)])
def test_outputs_are_nearer_than_with_plain_rounding(n_inputs, rank):
    """Of any rank: fewer inputs than columns, and channels that depend on others."""
    weight, inputs = RNG.normal(size=(40, 150)), correlated(n_inputs, 150, rank)
    near = round_rows(weight, inputs.T @ inputs)
    assert error(weight, near, inputs) < 0.7 * error(weight, quantise_rows(weight), inputs)


def test_other_inputs_of_their_kind_are_served_too():
    weight, inputs = RNG.normal(size=(40, 100)), correlated(4000, 100, 30)
    seen, others = inputs[:3000], inputs[3000:]
    near = round_rows(weight, seen.T @ seen)
    assert error(weight, near, others) < 0.7 * error(weight, quantise_rows(weight), others)


def test_dead_channels_and_rows_of_zeros():
    weight, inputs = RNG.normal(size=(8, 70)), correlated(500, 70, 40)
    inputs[:, 5:60] = 0
    weight[2] = 0
    integers, steps = round_rows(weight, inputs.T @ inputs)
    assert (integers[2] == 0).all()
    assert np.abs(integers * steps[:, None] - weight)[:, 5:60].max() <= 0.5001 * steps.max()


def test_without_any_inputs_the_nearest_are_taken():
    weight = RNG.normal(size=(8, 70))
    integers, steps = round_rows(weight, np.zeros((70, 70)))
    assert np.square(integers * steps[:, None] - weight).mean() <= steps.max() ** 2 / 12 * 1.1


def test_a_network_is_rounded_alike_every_time():
    samples = networks.sample_records()
    stream = tokenise_samples(samples[::8], networks.vocabulary(samples))
    batches = [StreamBatches(stream, hybrids.CONFIG).at(torch.arange(0, 128, 64), 64)]
    model = hybrids.hybrid()
    first, second = (quantise(model, calibrate(model, batches)) for _ in range(2))
    for name in ("convolution_CDT", "query_key_value_LED", "contract_LDF", "memory_in_DM", "head_VD", "member_VD"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_the_residual_after_the_last_layer_fits():
    """It may be far above those before it."""
    samples = networks.sample_records()
    stream = tokenise_samples(samples[::8], networks.vocabulary(samples))
    batches = [StreamBatches(stream, hybrids.CONFIG).at(torch.arange(0, 512, 64), 64)]
    model = hybrids.hybrid()
    before = quantise(model, calibrate(model, batches)).embedding_scale_I
    model.stack()[-1].contract.weight.data *= 100
    assert (quantise(model, calibrate(model, batches)).embedding_scale_I < before / 10).all()
