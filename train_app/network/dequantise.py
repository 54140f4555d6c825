"""Integers of a version -> a float network that computes the same but for the rounding of activations: to train it on.

The way back of quantise.py. What a step is worth is not in the file where nothing depends on it: in the residual, the
n-gram tables, squares and values it may be any number, as the weights before and behind it take it up. Such numbers are
chosen so that parameters are as large as those of networks that were trained here, which learning rates are for.

Shape suffixes as in nbmf.neural.weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nbmf._core import TAPS
from nbmf.neural.config import ATTENTION, NeuralConfig
from nbmf.neural.weights import ATTENTION_STEPS_PER_NAT, FREQUENCY_STEPS_PER_NAT, IntegerWeights
from train_app.network.model import NeuralModel

_EMBEDDING_RMS, _TABLE_RMS, _WEIGHT_RMS = 0.5, 0.3, 0.2


def dequantise(weights: IntegerWeights, config: NeuralConfig) -> NeuralModel:
    """The float network, on the CPU, for evaluation."""
    weights = weights.numpy()
    embedding_ID = weights.embedding_ID * weights.embedding_scale_I[:, None].astype(np.float64)
    unit = _EMBEDDING_RMS / _rms(embedding_ID)
    table_step = _TABLE_RMS / _rms(weights.trigram_RM)
    state = {
        "embedding.weight": embedding_ID * unit,
        "bigram_memory.weight": weights.bigram_RM * table_step,
        "trigram_memory.weight": weights.trigram_RM * table_step,
        "memory_in.weight": _product(weights.memory_in_DM, weights.memory_in_scale_D * unit, table_step),
    }
    norm_step_ND = _norm_steps(weights, config)
    attention = convolution = 0
    for number, kind in enumerate(config.kinds):
        mix_in_D, expand_in_D = norm_step_ND[2 * number : 2 * number + 2]
        if kind == ATTENTION:
            mixing = _attention(weights, config, attention, mix_in_D, unit)
            attention += 1
        else:
            mixing = _convolution(weights, convolution, np.tile(mix_in_D, TAPS), unit)
            convolution += 1
        first, second = _through_squares(
            weights.expand_LFD[number],
            weights.expand_scale_LF[number],
            expand_in_D,
            weights.contract_LDF[number],
            weights.contract_scale_LD[number] * unit,
        )
        layer = {**mixing, "expand.weight": first, "contract.weight": second}
        state |= {f"layers.{number}.{name}": value for name, value in layer.items()}
    state["head.weight"] = _product(weights.head_VD, weights.head_scale_V / FREQUENCY_STEPS_PER_NAT, norm_step_ND[-1])
    if weights.member_VD is not None and weights.member_scale_V is not None:
        scale_V = weights.member_scale_V / FREQUENCY_STEPS_PER_NAT
        state["member.weight"] = _product(weights.member_VD, scale_V, norm_step_ND[-1])
    tensors = {name: torch.from_numpy(np.asarray(value, dtype=np.float32)) for name, value in state.items()}
    if weights.hash_id_I is not None:
        tensors["hash_id_I"] = torch.from_numpy(weights.hash_id_I.copy())
    model = NeuralModel(config)
    model.restore(tensors)
    return model.eval()


def _product(
    quantised: NDArray[np.int8], out_scale: NDArray[np.floating], in_steps: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Float weights of a product: `out_scale` makes floats of its exact sums."""
    result: NDArray[np.float64] = quantised * out_scale[:, None].astype(np.float64) / in_steps
    return result


def _through_squares(
    first: NDArray[np.int8],
    first_scale: NDArray[np.float32],
    in_steps: NDArray[np.float64],
    second: NDArray[np.int8],
    second_scale: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Float weights of two products with squares of positive sums between them."""
    weight = _product(first, first_scale, in_steps)
    root = _WEIGHT_RMS / _rms(weight)
    return weight * root, _product(second, second_scale, root**2)


def _convolution(
    weights: IntegerWeights, index: int, in_steps: NDArray[np.float64], unit: float
) -> dict[str, NDArray[np.float64]]:
    held: dict[str, NDArray[Any]] = vars(weights)
    first, second = _through_squares(
        held["convolution_CDT"][index],
        held["convolution_scale_CD"][index],
        in_steps,
        held["convolution_out_CDD"][index],
        held["convolution_out_scale_CD"][index] * unit,
    )
    return {"convolution.weight": first, "convolution_out.weight": second}


def _attention(
    weights: IntegerWeights, config: NeuralConfig, index: int, in_steps: NDArray[np.float64], unit: float
) -> dict[str, NDArray[np.float64]]:
    D, K = config.d_model, config.d_head
    projection_ED = _product(weights.query_key_value_LED[index], weights.query_key_value_scale_LE[index], in_steps)
    # Steps of queries and keys are known as their product.
    index_scale_H = weights.attention_index_scale_LH[index].astype(np.float64)
    query_key_H = np.sqrt(index_scale_H * math.sqrt(K) / ATTENTION_STEPS_PER_NAT)
    value_step = _WEIGHT_RMS / _rms(projection_ED[2 * D :])
    out_E = np.concatenate((np.tile(np.repeat(query_key_H, K), 2), np.full(D, value_step)))
    mixed_step_D = np.repeat(value_step / weights.attention_value_scale_LH[index].astype(np.float64), K)
    out_scale_D = weights.attention_out_scale_LD[index] * unit
    return {
        "query_key_value.weight": projection_ED * out_E[:, None],
        "attention_out.weight": _product(weights.attention_out_LDD[index], out_scale_D, mixed_step_D),
    }


def _norm_steps(weights: IntegerWeights, config: NeuralConfig) -> NDArray[np.float64]:
    """What a step of int8 is worth in each norm's output and channel [2L + 1, D]."""
    in_one_ND = np.repeat(weights.norm_factor_N[:, None] / math.sqrt(config.d_model), config.d_model, axis=1)
    result: NDArray[np.float64] = 1 / (in_one_ND if weights.norm_step_ND is None else in_one_ND * weights.norm_step_ND)
    return result


def _rms(values: NDArray[np.generic]) -> float:
    return max(float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))), 1e-12)
