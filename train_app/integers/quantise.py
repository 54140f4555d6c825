"""Post-training quantisation: float network -> the integers of nbmf.neural.weights.

int8 weights with one scale a row (Jacob et al. 2018, arXiv:1712.05877), rounded by what goes into
them (rounding.py); int8 activations with the steps of train_app.network.calibration.

Shape suffixes as in nbmf.neural.weights.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nbmf._core import ATTENTION_PEAK, FREQUENCY_PEAK, INT8_LIMIT
from nbmf.neural.config import CONVOLUTION
from nbmf.neural.weights import (
    ATTENTION_STEPS_PER_NAT,
    FREQUENCY_STEPS_PER_NAT,
    ROTARY_ONE,
    IntegerWeights,
    exp_table,
)
from train_app.integers.rounding import round_rows
from train_app.network.batches import Batch
from train_app.network.calibration import HEAD, Calibration, input_steps, measured, narrower
from train_app.network.model import AttentionLayer, ConvolutionLayer, NeuralModel, rotary_frequencies

RESIDUAL_PEAK = 1 << 20  # units of the largest residual in calibration; the engines clamp at 2x
ROUNDING_TOKENS = 1 << 14  # of the calibration, to round weights by: it takes most of the time


@torch.no_grad()
def calibrate(model: NeuralModel, batches: list[Batch]) -> Calibration:
    """Run the float network over `batches` and look at what goes into every product: how large, then how it rounds."""
    calibration = measured(model, batches)
    _watch_rounding(model, batches[: max(1, ROUNDING_TOKENS // batches[0].tokens_BT.numel())], calibration)
    return calibration


def _watch_rounding(model: NeuralModel, batches: list[Batch], calibration: Calibration) -> None:
    handles = []

    def watch(name: str, steps_K: NDArray[np.float64]) -> Callable[[Tensor], None]:
        moments_KK = calibration.moments[name] = np.zeros((len(steps_K), len(steps_K)))
        factor_K = torch.from_numpy(1 / steps_K).float()

        def add(values_BTK: Tensor) -> None:
            rounded_NK = (values_BTK.flatten(0, 1) * factor_K).round().clamp(-INT8_LIMIT, INT8_LIMIT)
            np.add(moments_KK, (rounded_NK.T @ rounded_NK).numpy(), out=moments_KK)

        return add

    def before(add: Callable[[Tensor], None]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, inputs: add(inputs[0])

    watches = {name: watch(name, steps_K) for name, steps_K in input_steps(model, calibration).items()}
    add_head = watches.pop(HEAD)
    for name, add in watches.items():
        handles.append(model.get_submodule(name).register_forward_pre_hook(before(add)))
    for batch in batches:
        add_head(model.trunk(batch))
    for handle in handles:
        handle.remove()


def quantise_rows(weight: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """int8 [rows, columns] and the float that one step is worth in each row."""
    steps = np.maximum(np.abs(weight).max(axis=1), 1e-12) / INT8_LIMIT
    return np.rint(weight / steps[:, None]).astype(np.int8), steps


def quantise_table(table: NDArray[np.float64], step_M: NDArray[np.float64]) -> NDArray[np.int8]:
    return np.clip(np.rint(table / step_M), -INT8_LIMIT, INT8_LIMIT).astype(np.int8)


def _array(parameter: Tensor) -> NDArray[np.float64]:
    return parameter.detach().double().cpu().numpy()


def quantise(model: NeuralModel, calibration: Calibration) -> IntegerWeights:
    """All integers and scales of the network. Steps of channels go into the columns of the weights behind."""
    config = model.config
    L, H, D, K = config.n_layers, config.n_heads, config.d_model, config.d_head
    unit = max(calibration.peak(name) for name in ("residual", *(f"{i}.residual" for i in range(L)))) / RESIDUAL_PEAK
    embedding_ID, embedding_step_I = quantise_rows(_array(model.embedding.weight))
    bigram_M, trigram_M = calibration.steps("bigram"), calibration.steps("trigram")
    in_steps = input_steps(model, calibration)
    rows: dict[str, list[NDArray[Any]]] = defaultdict(list)
    norm_steps = []

    def product(name: str, out_steps: NDArray[np.float64] | float, inputs: str = "") -> None:
        """Of a module, with the inputs of another."""
        weight = _array(model.get_parameter(f"{name}.weight")) * in_steps[inputs or name]
        quantised, steps = round_rows(weight, calibration.moments[inputs or name])
        kind = name.split(".")[-1]
        rows[kind].append(quantised)
        rows[f"{kind}_scale"].append(steps / out_steps)

    product("memory_in", unit)
    for number, layer in enumerate(model.stack()):

        def steps(name: str, number: int = number) -> NDArray[np.float64]:
            return calibration.steps(f"{number}.{name}")

        def heads(name: str, number: int = number) -> NDArray[np.float64]:
            return np.array([calibration.step(f"{number}.{name}{head}") for head in range(H)])

        norm_steps += [steps("mix_in"), steps("expand_in")]
        if isinstance(layer, AttentionLayer):
            q_H, k_H, value_D = heads("q"), heads("k"), steps("value")
            # A mean of values in their own steps, by one factor of the head: so much narrower than they are.
            out_E = np.concatenate((np.repeat(q_H, K), np.repeat(k_H, K), value_D))
            product(f"layers.{number}.query_key_value", out_E)
            rows["index_scale"].append(q_H * k_H / math.sqrt(K) * ATTENTION_STEPS_PER_NAT)
            rows["value_scale"].append(1 / narrower(config, calibration, number))
            product(f"layers.{number}.attention_out", unit)
        elif isinstance(layer, ConvolutionLayer):
            product(f"layers.{number}.convolution", np.sqrt(steps("taps_hidden")))
            product(f"layers.{number}.convolution_out", unit)
        product(f"layers.{number}.expand", np.sqrt(steps("hidden")))
        product(f"layers.{number}.contract", unit)
    product(HEAD, 1 / FREQUENCY_STEPS_PER_NAT)
    if model.member:
        product("member", 1 / FREQUENCY_STEPS_PER_NAT, inputs=HEAD)
    period = config.rotary_period
    circle = np.cos(2 * np.pi * np.arange(period) / period)

    def stacked(name: str, *shape: int) -> NDArray[np.int8]:
        return np.stack(rows[name]) if rows[name] else np.zeros((0, *shape), dtype=np.int8)

    def scales(name: str, *shape: int) -> NDArray[np.float32]:
        return np.stack(rows[name]).astype(np.float32) if rows[name] else np.zeros((0, *shape), dtype=np.float32)

    convolutions: dict[str, Any] = {}
    if CONVOLUTION in config.kinds:
        convolutions = {
            "convolution_CDT": stacked("convolution"),
            "convolution_scale_CD": scales("convolution_scale"),
            "convolution_out_CDD": stacked("convolution_out"),
            "convolution_out_scale_CD": scales("convolution_out_scale"),
        }
    members: dict[str, Any] = {}
    if model.member:
        members = {"member_VD": stacked("member")[0], "member_scale_V": scales("member_scale")[0]}
    return IntegerWeights(
        embedding_ID=embedding_ID,
        embedding_scale_I=(embedding_step_I / unit).astype(np.float32),
        bigram_RM=quantise_table(_array(model.bigram_memory.weight), bigram_M),
        trigram_RM=quantise_table(_array(model.trigram_memory.weight), trigram_M),
        memory_in_DM=stacked("memory_in")[0],
        memory_in_scale_D=scales("memory_in_scale")[0],
        query_key_value_LED=stacked("query_key_value", 3 * D, D),
        query_key_value_scale_LE=scales("query_key_value_scale", 3 * D),
        attention_out_LDD=stacked("attention_out", D, D),
        attention_out_scale_LD=scales("attention_out_scale", D),
        expand_LFD=stacked("expand"),
        expand_scale_LF=scales("expand_scale"),
        contract_LDF=stacked("contract"),
        contract_scale_LD=scales("contract_scale"),
        head_VD=stacked("head")[0],
        head_scale_V=scales("head_scale")[0],
        norm_factor_N=np.full(2 * L + 1, math.sqrt(D)),
        norm_step_ND=(1 / np.stack([*norm_steps, in_steps[HEAD]])).astype(np.float32),
        attention_index_scale_LH=scales("index_scale", H),
        attention_value_scale_LH=scales("value_scale", H),
        attention_exp=exp_table(ATTENTION_PEAK, ATTENTION_STEPS_PER_NAT, last=0),
        frequency_exp=exp_table(FREQUENCY_PEAK, FREQUENCY_STEPS_PER_NAT, last=1),
        rotary_cos_P=np.rint(circle * ROTARY_ONE).astype(np.int16),
        rotary_turns_K=rotary_frequencies(config).numpy().astype(np.int32),
        hash_id_I=model.hash_ids(),
        **convolutions,
        **members,
    )
