"""A version's learned parts in the form that the compiled core takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nbmf import _core
from nbmf.neural.config import NeuralConfig
from nbmf.neural.constants import Constants
from nbmf.neural.weights import ROTARY_ONE, IntegerWeights

_SHARED = (
    "embedding_ID", "embedding_scale_I", "bigram_RM", "trigram_RM", "memory_in_DM", "memory_in_scale_D", "head_VD",
    "head_scale_V", "norm_factor_N", "attention_exp", "frequency_exp", "rotary_turns_K",
)  # fmt: skip
_OF_A_LAYER = {
    "in": "query_key_value_LED", "in_scale": "query_key_value_scale_LE",
    "out": "attention_out_LDD", "out_scale": "attention_out_scale_LD",
    "expand": "expand_LFD", "expand_scale": "expand_scale_LF",
    "contract": "contract_LDF", "contract_scale": "contract_scale_LD",
    "index_scale": "attention_index_scale_LH", "value_scale": "attention_value_scale_LH",
}  # fmt: skip


def make_network(weights: IntegerWeights, config: NeuralConfig) -> _core.Network:
    """The network, on the kind of processor that `_core.cpu()` names. Raises ValueError if it is none."""
    arrays = {name: getattr(weights, name) for name in _SHARED}
    arrays["rotary_cos_P"] = weights.rotary_cos_P.astype(np.float32) / np.float32(ROTARY_ONE)
    layers = [
        {name: getattr(weights, field)[layer] for name, field in _OF_A_LAYER.items()}
        for layer in range(config.n_layers)
    ]
    return _core.Network({**config.to_dict(), "n_input_ids": config.n_input_ids}, arrays, layers)


def make_adaptation(constants: Constants, vocab_size: int, counts: _core.Counts | None = None) -> _core.Model:
    """One for fitting: of tokens that stand for no bytes in particular."""
    return make_model([b"."] * vocab_size, constants, None, counts)


def make_model(
    bytes_of_id: Sequence[bytes], constants: Constants, network: _core.Network | None, counts: _core.Counts | None
) -> _core.Model:
    """What codes, of a vocabulary and what predicts. Raises ValueError if the parts do not fit together."""
    numbers = np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in constants])
    begin_V = np.cumsum([0, *map(len, bytes_of_id)], dtype=np.int32)
    return _core.Model(network, counts, numbers, b"".join(bytes_of_id), begin_V)
