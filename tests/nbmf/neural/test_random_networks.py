"""Both engines on random networks of odd sizes, cut off after each layer: what passes between layers is the same."""

import numpy as np
import pytest

from nbmf._core import ATTENTION_PEAK, FREQUENCY_PEAK
from nbmf.neural.config import NeuralConfig
from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_model, make_network
from nbmf.neural.torch_engine import TorchEngine
from nbmf.neural.weights import (
    ATTENTION_STEPS_PER_NAT,
    FREQUENCY_STEPS_PER_NAT,
    ROTARY_ONE,
    IntegerWeights,
    exp_table,
)

SIZES = [
    NeuralConfig(
        vocab_size=101, d_model=12, n_layers=2, n_heads=2, d_feed_forward=20, d_memory=3, bigram_bits=6, trigram_bits=7,
        window=20, d_shift=5,
    ),
    NeuralConfig(
        vocab_size=333, d_model=66, n_layers=3, n_heads=3, d_feed_forward=130, d_memory=10, bigram_bits=8,
        trigram_bits=8, window=33, d_shift=0,
    ),
    NeuralConfig(
        vocab_size=512, d_model=128, n_layers=2, n_heads=2, d_feed_forward=256, d_memory=32, bigram_bits=8,
        trigram_bits=8, window=48, d_shift=32,
    ),
]  # fmt: skip


def random_weights(config: NeuralConfig, seed: int) -> IntegerWeights:
    """Values that fill their ranges: scales keep what they scale to some hundred steps, at times beyond a clip."""
    rng = np.random.default_rng(seed)
    vocab, d, layers, heads = config.vocab_size, config.d_model, config.n_layers, config.n_heads
    ff, memory, d_head = config.d_feed_forward, config.d_memory, config.d_head

    def matrix(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape, dtype=np.int8)

    def scale(terms: int, target: float, *shape: int) -> np.ndarray:
        """Such that sums of so many products are about `target`."""
        return (target / (73 * 73 * terms**0.5) * rng.uniform(0.5, 2.0, shape)).astype(np.float32)

    turns = rng.integers(1, config.rotary_period, d_head // 2)
    cosines = np.cos(2 * np.pi * np.arange(config.rotary_period) / config.rotary_period)
    return IntegerWeights(
        embedding_ID=matrix(config.n_input_ids, d),
        embedding_scale_I=rng.uniform(10, 40, config.n_input_ids).astype(np.float32),
        bigram_RM=matrix(1 << config.bigram_bits, memory),
        trigram_RM=matrix(1 << config.trigram_bits, memory),
        memory_in_DM=matrix(d, 2 * memory),
        memory_in_scale_D=scale(2 * memory, 2000, d),
        query_key_value_LED=matrix(layers, 3 * d, d),
        query_key_value_scale_LE=scale(d, 60, layers, 3 * d),
        attention_out_LDD=matrix(layers, d, d),
        attention_out_scale_LD=scale(d, 2000, layers, d),
        expand_LFD=matrix(layers, ff, d),
        expand_scale_LF=scale(d, 8, layers, ff),
        contract_LDF=matrix(layers, d, ff),
        contract_scale_LD=scale(ff, 2000, layers, d),
        head_VD=matrix(vocab, d),
        head_scale_V=scale(d, 600, vocab),
        norm_factor_N=rng.uniform(30, 60, 2 * layers + 1) * d**0.5,
        attention_index_scale_LH=scale(d_head, 100, layers, heads),
        attention_value_scale_LH=rng.uniform(0.5, 3, (layers, heads)).astype(np.float32),
        attention_exp=exp_table(ATTENTION_PEAK, ATTENTION_STEPS_PER_NAT, last=0),
        frequency_exp=exp_table(FREQUENCY_PEAK, FREQUENCY_STEPS_PER_NAT, last=1),
        rotary_cos_P=np.rint(cosines * ROTARY_ONE).astype(np.int16),
        rotary_turns_K=turns.astype(np.int32),
    )


def cut_after(weights: IntegerWeights, config: NeuralConfig, layers: int) -> tuple[IntegerWeights, NeuralConfig]:
    """The head on what the first layers give."""
    fields = dict(vars(weights))
    for name in fields:
        if "_L" in name:
            fields[name] = fields[name][:layers]
    fields["norm_factor_N"] = np.append(weights.norm_factor_N[: 2 * layers], weights.norm_factor_N[-1])
    return IntegerWeights(**fields), config.with_(n_layers=layers)


@pytest.mark.parametrize("config", SIZES, ids=lambda config: f"d{config.d_model}")
@pytest.mark.parametrize("seed", [1, 2])
def test_layer_by_layer(path, config: NeuralConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = np.concatenate(([config.type_id("text")], rng.integers(0, config.vocab_size, 3 * config.window)))
    for layers in range(config.n_layers + 1):
        weights, cut = cut_after(random_weights(config, seed), config, layers)
        (expected,) = TorchEngine(weights, cut).frequencies([tokens])
        assert len(np.unique(expected)) > 100
        model = make_model([b"."] * cut.vocab_size, default_constants(), make_network(weights, cut), None)
        assert model.cpu == path
        for at_once in (1, 7, 16):
            got = np.zeros_like(expected)
            model.frequencies(tokens.astype(np.int32), at_once, got)
            np.testing.assert_array_equal(got, expected)
