"""Post-training quantisation: float network -> the integers of nbmf.neural.weights.

int8 weights with one scale a row (Jacob et al. 2018, arXiv:1712.05877), int8 activations whose
scales are a high percentile of what calibration records produce.
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
from nbmf.neural.weights import (
    ATTENTION_STEPS_PER_NAT,
    FREQUENCY_STEPS_PER_NAT,
    ROTARY_ONE,
    IntegerWeights,
    exp_table,
)
from train_app.neural.data import Batch
from train_app.neural.model import NeuralModel, rotary_angles, rotary_frequencies, rotate

RESIDUAL_PEAK = 1 << 19  # units of the largest residual in calibration; the engines clamp at 4x
# Where activations are clipped.
PERCENTILES = {"hidden": 99.999, "attention_in": 99.999, "expand_in": 99.999, "memory": 75.0}
OTHER_PERCENTILE = 99.99


class Calibration:
    """Percentiles of absolute activations, one for each named place (and head)."""

    def __init__(self) -> None:
        self._seen: dict[str, list[NDArray[np.float32]]] = defaultdict(list)

    def add(self, name: str, values: Tensor) -> None:
        """The last dimension but one may be heads: see `scale`. Values [rows, channels]."""
        self._seen[name].append(values.detach().abs().float().numpy().reshape(-1))

    def scale(self, name: str) -> float:
        """The float that one step of int8 is worth, at the place `layer.name` or `name`."""
        values = np.concatenate(self._seen[name])
        rank = PERCENTILES.get(name.split(".")[-1], OTHER_PERCENTILE)
        return float(np.percentile(values, rank)) / INT8_LIMIT

    def peak(self, name: str) -> float:
        return max(float(values.max()) for values in self._seen[name])


@torch.no_grad()
def calibrate(model: NeuralModel, batches: list[Batch]) -> Calibration:
    """Run the float network over `batches` and look at what goes into every product."""
    calibration = Calibration()
    config = model.config
    handles = []

    def watch_input(module: nn.Module, name: str) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calibration.add(name, inputs[0])

        handles.append(module.register_forward_pre_hook(hook))

    def watch_heads(number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            B, T, _ = output.shape
            angles_TK = rotary_angles(config, torch.arange(T))
            cos_TK, sin_TK = angles_TK.cos().float(), angles_TK.sin().float()
            for part, name in zip(output.float().chunk(3, dim=-1), "qkv", strict=True):
                heads = part.view(B, T, config.n_heads, config.d_head).transpose(1, 2)
                if name != "v":
                    heads = rotate(heads, cos_TK, sin_TK)
                for head in range(config.n_heads):
                    calibration.add(f"{number}.{name}{head}", heads[:, head])

        return hook

    for number, layer in enumerate(model.stack()):
        watch_input(layer, f"{number}.residual")
        watch_input(layer.query_key_value, f"{number}.attention_in")
        watch_input(layer.attention_out, f"{number}.mixed")
        watch_input(layer.expand, f"{number}.expand_in")
        watch_input(layer.contract, f"{number}.hidden")
        handles.append(layer.query_key_value.register_forward_hook(watch_heads(number)))

    def watch_memory(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calibration.add("bigram.memory", inputs[0][..., : config.d_memory])
        calibration.add("trigram.memory", inputs[0][..., config.d_memory :])

    handles.append(model.memory_in.register_forward_pre_hook(watch_memory))
    model.eval()
    for batch in batches:
        y_BTD = model.trunk(batch)
        calibration.add("head_in", y_BTD)
    for handle in handles:
        handle.remove()
    return calibration


def quantise_rows(weight: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """int8 [rows, columns] and the float that one step is worth in each row."""
    steps = np.maximum(np.abs(weight).max(axis=1), 1e-12) / INT8_LIMIT
    return np.rint(weight / steps[:, None]).astype(np.int8), steps


def quantise_table(table: NDArray[np.float64], step: float) -> NDArray[np.int8]:
    return np.clip(np.rint(table / step), -INT8_LIMIT, INT8_LIMIT).astype(np.int8)


def _array(parameter: Tensor) -> NDArray[np.float64]:
    return parameter.detach().double().cpu().numpy()


def quantise(model: NeuralModel, calibration: Calibration) -> IntegerWeights:
    """All integers and scales of the network."""
    config = model.config
    L, H, D, M = config.n_layers, config.n_heads, config.d_model, config.d_memory
    unit = max(calibration.peak(f"{i}.residual") for i in range(L)) / RESIDUAL_PEAK
    embedding_ID, embedding_step_I = quantise_rows(_array(model.embedding.weight))
    # Rows never trained (hash rows no calibration token hit) may be clipped; rows in use are not.
    bigram_step, trigram_step = calibration.scale("bigram.memory"), calibration.scale("trigram.memory")
    memory_in = _array(model.memory_in.weight)
    memory_in[:, :M] *= bigram_step
    memory_in[:, M:] *= trigram_step
    memory_in_DM, memory_in_step_D = quantise_rows(memory_in)
    rows: dict[str, list[NDArray[Any]]] = defaultdict(list)
    norm_factors = []
    for number, layer in enumerate(model.stack()):

        def step(name: str, number: int = number) -> float:
            return calibration.scale(f"{number}.{name}")

        def heads(name: str, number: int = number) -> NDArray[np.float64]:
            return np.array([calibration.scale(f"{number}.{name}{head}") for head in range(H)])

        attention_in, expand_in = step("attention_in"), step("expand_in")
        norm_factors += [math.sqrt(D) / attention_in, math.sqrt(D) / expand_in]
        head_steps = np.repeat(np.concatenate((heads("q"), heads("k"), heads("v"))), config.d_head)
        weight, weight_step = quantise_rows(_array(layer.query_key_value.weight))
        rows["query_key_value"].append(weight)
        rows["query_key_value_scale"].append(weight_step * attention_in / head_steps)
        rows["index_scale"].append(heads("q") * heads("k") / math.sqrt(config.d_head) * ATTENTION_STEPS_PER_NAT)
        rows["value_scale"].append(heads("v") / step("mixed"))
        weight, weight_step = quantise_rows(_array(layer.attention_out.weight))
        rows["attention_out"].append(weight)
        rows["attention_out_scale"].append(weight_step * step("mixed") / unit)
        weight, weight_step = quantise_rows(_array(layer.expand.weight))
        rows["expand"].append(weight)
        rows["expand_scale"].append(weight_step * expand_in / math.sqrt(step("hidden")))
        weight, weight_step = quantise_rows(_array(layer.contract.weight))
        rows["contract"].append(weight)
        rows["contract_scale"].append(weight_step * step("hidden") / unit)
    head_in = calibration.scale("head_in")
    norm_factors.append(math.sqrt(D) / head_in)
    head_VD, head_step_V = quantise_rows(_array(model.head.weight))
    period = config.rotary_period
    circle = np.cos(2 * np.pi * np.arange(period) / period)

    def stacked(name: str) -> NDArray[np.int8]:
        return np.stack(rows[name])

    def scales(name: str) -> NDArray[np.float32]:
        return np.stack(rows[name]).astype(np.float32)

    return IntegerWeights(
        embedding_ID=embedding_ID,
        embedding_scale_I=(embedding_step_I / unit).astype(np.float32),
        bigram_RM=quantise_table(_array(model.bigram_memory.weight), bigram_step),
        trigram_RM=quantise_table(_array(model.trigram_memory.weight), trigram_step),
        memory_in_DM=memory_in_DM,
        memory_in_scale_D=(memory_in_step_D / unit).astype(np.float32),
        query_key_value_LED=stacked("query_key_value"),
        query_key_value_scale_LE=scales("query_key_value_scale"),
        attention_out_LDD=stacked("attention_out"),
        attention_out_scale_LD=scales("attention_out_scale"),
        expand_LFD=stacked("expand"),
        expand_scale_LF=scales("expand_scale"),
        contract_LDF=stacked("contract"),
        contract_scale_LD=scales("contract_scale"),
        head_VD=head_VD,
        head_scale_V=(head_step_V * head_in * FREQUENCY_STEPS_PER_NAT).astype(np.float32),
        norm_factor_N=np.array(norm_factors, dtype=np.float64),
        attention_index_scale_LH=scales("index_scale"),
        attention_value_scale_LH=scales("value_scale"),
        attention_exp=exp_table(ATTENTION_PEAK, ATTENTION_STEPS_PER_NAT, last=0),
        frequency_exp=exp_table(FREQUENCY_PEAK, FREQUENCY_STEPS_PER_NAT, last=1),
        rotary_cos_P=np.rint(circle * ROTARY_ONE).astype(np.int16),
        rotary_turns_K=rotary_frequencies(config).numpy().astype(np.int32),
    )
