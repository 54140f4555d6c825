"""Both engines on random networks of odd sizes, cut off after each layer: what passes between layers is the same."""

import numpy as np
import pytest

from nbmf._core import ATTENTION_PEAK, FREQUENCY_PEAK, TAPS
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
    NeuralConfig(
        vocab_size=101, d_model=12, n_layers=3, n_heads=2, d_feed_forward=20, d_memory=3, bigram_bits=6, trigram_bits=7,
        window=20, d_shift=5, layer_kinds="cac", n_clusters=5, cluster_size=16,
    ),
    NeuralConfig(
        vocab_size=700, d_model=68, n_layers=4, n_heads=2, d_feed_forward=130, d_memory=10, bigram_bits=8,
        trigram_bits=8, window=33, d_shift=0, layer_kinds="ccca", n_clusters=4, cluster_size=128,
    ),
]  # fmt: skip


def random_weights(config: NeuralConfig, seed: int) -> IntegerWeights:
    """Values that fill their ranges: scales keep what they scale to some hundred steps, at times beyond a clip."""
    rng = np.random.default_rng(seed)
    d, layers, heads = config.d_model, config.n_layers, config.n_heads
    attends, convolves = config.kinds.count("a"), config.kinds.count("c")
    members = config.vocab_size - config.n_singles
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
        query_key_value_LED=matrix(attends, 3 * d, d),
        query_key_value_scale_LE=scale(d, 60, attends, 3 * d),
        attention_out_LDD=matrix(attends, d, d),
        attention_out_scale_LD=scale(d, 2000, attends, d),
        expand_LFD=matrix(layers, ff, d),
        expand_scale_LF=scale(d, 8, layers, ff),
        contract_LDF=matrix(layers, d, ff),
        contract_scale_LD=scale(ff, 2000, layers, d),
        head_VD=matrix(config.n_symbols, d),
        head_scale_V=scale(d, 600, config.n_symbols),
        norm_factor_N=rng.uniform(30, 60, 2 * layers + 1) * d**0.5,
        attention_index_scale_LH=scale(d_head, 100, attends, heads),
        attention_value_scale_LH=rng.uniform(0.5, 3, (attends, heads)).astype(np.float32),
        attention_exp=exp_table(ATTENTION_PEAK, ATTENTION_STEPS_PER_NAT, last=0),
        frequency_exp=exp_table(FREQUENCY_PEAK, FREQUENCY_STEPS_PER_NAT, last=1),
        rotary_cos_P=np.rint(cosines * ROTARY_ONE).astype(np.int16),
        rotary_turns_K=turns.astype(np.int32),
        convolution_CDT=matrix(convolves, d, TAPS * d) if convolves else None,
        convolution_scale_CD=scale(TAPS * d, 8, convolves, d) if convolves else None,
        convolution_out_CDD=matrix(convolves, d, d) if convolves else None,
        convolution_out_scale_CD=scale(d, 2000, convolves, d) if convolves else None,
        norm_step_ND=rng.uniform(0.3, 3, (2 * layers + 1, d)).astype(np.float32) if convolves else None,
        member_VD=matrix(members, d) if members else None,
        member_scale_V=scale(d, 600, members) if members else None,
        hash_id_I=rng.permutation(config.n_input_ids).astype(np.int32) if members else None,
    )


def cut_after(weights: IntegerWeights, config: NeuralConfig, layers: int) -> tuple[IntegerWeights, NeuralConfig]:
    """The head on what the first layers give."""
    fields = {name: array for name, array in vars(weights).items() if array is not None}
    kinds = config.kinds[:layers]
    for name in fields:
        if "_L" in name:
            of_all = name.startswith(("expand", "contract"))
            fields[name] = fields[name][: layers if of_all else kinds.count("a")]
        if "_C" in name:
            fields[name] = fields[name][: kinds.count("c")]
        if name.startswith("norm_"):
            fields[name] = np.concatenate((fields[name][: 2 * layers], fields[name][-1:]))
    return IntegerWeights(**fields), config.with_(n_layers=layers, layer_kinds=kinds if config.layer_kinds else "")


@pytest.mark.parametrize("config", SIZES, ids=lambda config: f"{config.kinds}-d{config.d_model}")
@pytest.mark.parametrize("seed", [1, 2])
def test_layer_by_layer(path, config: NeuralConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, config.vocab_size, 3 * config.window)
    tokens = np.concatenate(([config.type_id("text")], targets[:-1]))
    for layers in range(config.n_layers + 1):
        weights, cut = cut_after(random_weights(config, seed), config, layers)
        (expected,) = TorchEngine(weights, cut).distances([tokens], [targets])
        for step in expected:
            assert not step.size or len(np.unique(step)) > 50
        model = make_model([b"."] * cut.vocab_size, default_constants(), make_network(weights, cut), None, cut)
        assert model.cpu == path
        for at_once in (1, 7, 16):
            got = cut.empty_predictions(len(tokens))
            model.distances(tokens.astype(np.int32), targets.astype(np.int32), at_once, *got)
            for mine, theirs in zip(got, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)
