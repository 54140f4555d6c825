"""A version's learned parts in the form that the compiled core takes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from nbmf import _core
from nbmf.neural.config import ATTENTION, CONVOLUTION, NeuralConfig
from nbmf.neural.constants import Constants
from nbmf.neural.vocabulary import Vocabulary
from nbmf.neural.weights import ROTARY_ONE, IntegerWeights

_SHARED = (
    "embedding_ID", "embedding_scale_I", "bigram_RM", "trigram_RM", "memory_in_DM", "memory_in_scale_D", "head_VD",
    "head_scale_V", "norm_factor_N", "attention_exp", "frequency_exp", "rotary_turns_K",
)  # fmt: skip
_OPTIONAL = ("norm_step_ND", "member_VD", "member_scale_V", "hash_id_I")
_OF_EVERY_LAYER = {
    "expand": "expand_LFD", "expand_scale": "expand_scale_LF",
    "contract": "contract_LDF", "contract_scale": "contract_scale_LD",
}  # fmt: skip
_OF_KIND = {
    ATTENTION: {
        "in": "query_key_value_LED", "in_scale": "query_key_value_scale_LE",
        "out": "attention_out_LDD", "out_scale": "attention_out_scale_LD",
        "index_scale": "attention_index_scale_LH", "value_scale": "attention_value_scale_LH",
    },
    CONVOLUTION: {
        "in": "convolution_CDT", "in_scale": "convolution_scale_CD",
        "out": "convolution_out_CDD", "out_scale": "convolution_out_scale_CD",
    },
}  # fmt: skip


def make_network(weights: IntegerWeights, config: NeuralConfig) -> _core.Network:
    """The network, on the kind of processor that `_core.cpu()` names. Raises ValueError if it is none."""
    arrays = {name: getattr(weights, name) for name in _SHARED}
    arrays |= {name: found for name in _OPTIONAL if (found := getattr(weights, name)) is not None}
    arrays["rotary_cos_P"] = array("f", [cosine / ROTARY_ONE for cosine in weights.rotary_cos_P.tolist()])
    sizes = {**config.to_dict(), "n_input_ids": config.n_input_ids}
    del sizes["layer_kinds"]
    return _core.Network(sizes, arrays, [*_layers(weights, config)])


def _layers(weights: IntegerWeights, config: NeuralConfig) -> Iterator[dict[str, Any]]:
    dilations = iter(config.dilations)
    for layer, kind in enumerate(config.kinds):
        places = [(_OF_EVERY_LAYER, layer), (_OF_KIND[kind], config.kinds[:layer].count(kind))]
        try:
            arrays = {
                name: _of_layer(getattr(weights, field), at) for fields, at in places for name, field in fields.items()
            }
        except (TypeError, IndexError) as error:
            raise ValueError(f"the network has no weights for layer {layer + 1} of {config.kinds}") from error
        yield arrays | ({"dilation": next(dilations)} if kind == CONVOLUTION else {})


def _of_layer(stacked: Any, at: int) -> Any:
    """The numbers of one of the layers. Raises TypeError, IndexError."""
    view: Any = memoryview(stacked)
    layers, flat = view.shape[0], view.cast("B")
    size = flat.nbytes // layers
    if at >= layers:
        raise IndexError(f"{layers} layers")
    return flat[at * size : (at + 1) * size].cast(view.format)


def make_adaptation(constants: Constants, vocabulary: Vocabulary, counts: _core.Counts | None = None) -> _core.Model:
    """One for fitting: of tokens that stand for no bytes in particular."""
    return make_model([b"."] * vocabulary.vocab_size, constants, None, counts, vocabulary)


def make_model(
    bytes_of_id: Sequence[bytes],
    constants: Constants,
    network: _core.Network | None,
    counts: _core.Counts | None,
    vocabulary: Vocabulary,
    primer: Sequence[tuple[memoryview, int]] = (),
) -> _core.Model:
    """What codes, of a vocabulary and what predicts, each record behind those of `primer` (tokens, type id).

    Raises ValueError if the parts do not fit together."""
    begin_V = array("i", accumulate(map(len, bytes_of_id), initial=0))
    token_bytes, clusters = b"".join(bytes_of_id), (vocabulary.n_clusters, vocabulary.cluster_size)
    return _core.Model(network, counts, constants.flat(), token_bytes, begin_V, *clusters, list(primer))
