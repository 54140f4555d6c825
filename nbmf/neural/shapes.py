"""What arrays a network has: types and shapes by its sizes. A version's files may come from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmf._core import TAPS
from nbmf.neural.config import ATTENTION, CONVOLUTION, NeuralConfig

_ANY = -1
_TYPES = {"I8": "b", "I16": "h", "I32": "i", "F32": "f", "F64": "d"}


def check_arrays(arrays: Mapping[str, Any], config: NeuralConfig) -> None:
    """Raises ValueError for an array that is missing, or is not what a network of these sizes has."""
    optional = _optional_arrays(config)
    for name, (type_, *shape) in (_arrays(config) | optional).items():
        array = arrays.get(name)
        if array is None:
            if name in optional:
                continue
            raise ValueError(f"not a network of integers: {name} is missing")
        fits = len(array.shape) == len(shape) and all(
            wanted in (_ANY, size) for size, wanted in zip(array.shape, shape, strict=True)
        )
        if array.format != _TYPES[type_] or not fits:
            raise ValueError(
                f"not a network of integers: {name} is {array.format} {array.shape}, where {_TYPES[type_]} "
                f"{tuple(shape)} belongs".replace(str(_ANY), "any")
            )


def _arrays(config: NeuralConfig) -> dict[str, tuple[Any, ...]]:
    """Of each array that must be there, the type and the shape."""
    V, D, F, M, H = config.vocab_size, config.d_model, config.d_feed_forward, config.d_memory, config.n_heads
    L, A, C = config.n_layers, config.kinds.count(ATTENTION), config.kinds.count(CONVOLUTION)
    ids, S, N = config.n_input_ids, config.n_symbols, 2 * config.n_layers + 1
    arrays: dict[str, tuple[Any, ...]] = {
        "embedding_ID": ("I8", ids, D), "embedding_scale_I": ("F32", ids),
        "bigram_RM": ("I8", 1 << config.bigram_bits, M), "trigram_RM": ("I8", 1 << config.trigram_bits, M),
        "memory_in_DM": ("I8", D, 2 * M), "memory_in_scale_D": ("F32", D),
        "expand_LFD": ("I8", L, F, D), "expand_scale_LF": ("F32", L, F),
        "contract_LDF": ("I8", L, D, F), "contract_scale_LD": ("F32", L, D),
        "head_VD": ("I8", S, D), "head_scale_V": ("F32", S), "norm_factor_N": ("F64", N),
        "attention_exp": ("I32", _ANY), "frequency_exp": ("I32", _ANY),
        "rotary_cos_P": ("I16", config.rotary_period), "rotary_turns_K": ("I32", config.d_head // 2),
    }  # fmt: skip
    if A:
        arrays |= {
            "query_key_value_LED": ("I8", A, 3 * D, D), "query_key_value_scale_LE": ("F32", A, 3 * D),
            "attention_out_LDD": ("I8", A, D, D), "attention_out_scale_LD": ("F32", A, D),
            "attention_index_scale_LH": ("F32", A, H), "attention_value_scale_LH": ("F32", A, H),
        }  # fmt: skip
    if C:
        arrays |= {
            "convolution_CDT": ("I8", C, D, TAPS * D), "convolution_scale_CD": ("F32", C, D),
            "convolution_out_CDD": ("I8", C, D, D), "convolution_out_scale_CD": ("F32", C, D),
        }  # fmt: skip
    if config.n_clusters:
        arrays |= {"member_VD": ("I8", V - config.n_singles, D), "member_scale_V": ("F32", V - config.n_singles)}
    return arrays


def _optional_arrays(config: NeuralConfig) -> dict[str, tuple[Any, ...]]:
    return {
        "norm_step_ND": ("F32", 2 * config.n_layers + 1, config.d_model),
        "hash_id_I": ("I32", config.n_input_ids),
    }
