"""Post-training quantisation: float network -> the integers of nbmf.neural.weights.

int8 weights with one scale a row (Jacob et al. 2018, arXiv:1712.05877), rounded by what goes into
them (rounding.py); int8 activations with one scale a channel where that costs nothing (Xiao et al.
2023, SmoothQuant): a high percentile of what calibration records produce.

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

from nbmf._core import ATTENTION_PEAK, FREQUENCY_PEAK, INT8_LIMIT, TAPS
from nbmf.neural.config import CONVOLUTION, NeuralConfig
from nbmf.neural.weights import (
    ATTENTION_STEPS_PER_NAT,
    FREQUENCY_STEPS_PER_NAT,
    ROTARY_ONE,
    IntegerWeights,
    exp_table,
)
from train_app.integers.rounding import round_rows
from train_app.network.batches import Batch
from train_app.network.model import (
    AttentionLayer,
    ConvolutionLayer,
    NeuralModel,
    rotary_angles,
    rotary_frequencies,
    rotate,
)

RESIDUAL_PEAK = 1 << 20  # units of the largest residual in calibration; the engines clamp at 2x
# Where activations are clipped: of all values of a place, and of those of each channel. Squares have long tails;
# what n-grams are learnt by heart with is too sure in other records, and is cut.
PERCENTILES = {"q": 99.99, "k": 99.99}
CHANNEL_PERCENTILES, OTHER_CHANNEL_PERCENTILE = (
    {"bigram": 85.0, "trigram": 85.0, "hidden": 99.99, "taps_hidden": 99.999},
    99.95,
)
ROUNDING_TOKENS = 1 << 14  # of the calibration, to round weights by: it takes most of the time
HEAD = "head"
HEADROOM = {"hidden": 1.4}  # times the percentile: cutting the largest squares costs more than rounding the others
LEAST_STEP = 0.1  # of a channel, as a share of its place's median: what is hardly ever used may be, in other records


class Calibration:
    """Percentiles of absolute activations at named places, of each channel or of all.

    Only the largest values are kept: as many as there are above the percentile.
    """

    def __init__(self, n_tokens: int) -> None:
        """Of so many tokens in all, each seen once at every place."""
        self._n_tokens = n_tokens
        self._largest: dict[str, Tensor] = {}
        self.moments: dict[str, NDArray[np.float64]] = {}
        """Of the inputs of products as rounded: sums of channel times channel."""

    def add(self, name: str, values_BTC: Tensor) -> None:
        """Activations at the place `layer.name`, or `name`."""
        values_NC = values_BTC.detach().abs().float().reshape(-1, values_BTC.size(-1))
        if _kind(name) in PERCENTILES:
            values_NC = values_NC.reshape(-1, 1)
        if name in self._largest:
            values_NC = torch.cat((self._largest[name], values_NC))
        n_values = self._n_tokens * values_BTC.size(-1) // values_NC.size(1)
        kept = n_values - math.floor(self._rank(name, n_values))
        self._largest[name] = values_NC.topk(min(kept, len(values_NC)), dim=0).values

    @staticmethod
    def _rank(name: str, n_values: int) -> float:
        percentile = (PERCENTILES | CHANNEL_PERCENTILES).get(_kind(name), OTHER_CHANNEL_PERCENTILE)
        return percentile / 100 * (n_values - 1)

    def step(self, name: str) -> float:
        """The float that one step of int8 is worth, at a place with one for all channels."""
        return float(self._largest[name][-1, 0]) / INT8_LIMIT

    def steps(self, name: str) -> NDArray[np.float64]:
        """The same of each channel."""
        percentile_C = HEADROOM.get(_kind(name), 1.0) * self._largest[name][-1].double().numpy()
        return np.maximum(percentile_C, max(LEAST_STEP * float(np.median(percentile_C)), 1e-6)) / INT8_LIMIT

    def peak(self, name: str) -> float:
        return float(self._largest[name][0].max())


def _kind(name: str) -> str:
    return name.split(".")[-1].rstrip("0123456789")


@torch.no_grad()
def calibrate(model: NeuralModel, batches: list[Batch]) -> Calibration:
    """Run the float network over `batches` and look at what goes into every product: how large, then how it rounds."""
    model.eval()
    calibration = Calibration(sum(batch.tokens_BT.numel() for batch in batches))
    _watch_sizes(model, batches, calibration)
    _watch_rounding(model, batches[: max(1, ROUNDING_TOKENS // batches[0].tokens_BT.numel())], calibration)
    return calibration


def _watch_sizes(model: NeuralModel, batches: list[Batch], calibration: Calibration) -> None:
    config = model.config
    handles = []

    def watch_input(module: nn.Module, name: str, channels: int | None = None) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calibration.add(name, inputs[0][..., :channels])

        handles.append(module.register_forward_pre_hook(hook))

    def watch_last(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        calibration.add("residual", output)

    def watch_heads(number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            B, T, _ = output.shape
            angles_TK = rotary_angles(config, torch.arange(T))
            cos_TK, sin_TK = angles_TK.cos().float(), angles_TK.sin().float()
            query_key, value_BTD = output.float().split((2 * config.d_model, config.d_model), dim=-1)
            for part, name in zip(query_key.chunk(2, dim=-1), "qk", strict=True):
                heads = rotate(part.view(B, T, config.n_heads, config.d_head).transpose(1, 2), cos_TK, sin_TK)
                for head in range(config.n_heads):
                    calibration.add(f"{number}.{name}{head}", heads[:, head])
            calibration.add(f"{number}.value", value_BTD)

        return hook

    for number, layer in enumerate(model.stack()):
        watch_input(layer, f"{number}.residual")
        if isinstance(layer, AttentionLayer):
            watch_input(layer.query_key_value, f"{number}.mix_in")
            watch_input(layer.attention_out, f"{number}.mixed")
            handles.append(layer.query_key_value.register_forward_hook(watch_heads(number)))
        elif isinstance(layer, ConvolutionLayer):
            watch_input(layer.convolution, f"{number}.mix_in", config.d_model)
            watch_input(layer.convolution_out, f"{number}.taps_hidden")
        watch_input(layer.expand, f"{number}.expand_in")
        watch_input(layer.contract, f"{number}.hidden")

    def watch_memory(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calibration.add("bigram", inputs[0][..., : config.d_memory])
        calibration.add("trigram", inputs[0][..., config.d_memory :])

    handles.append(model.memory_in.register_forward_pre_hook(watch_memory))
    handles.append(model.stack()[-1].register_forward_hook(watch_last))
    for batch in batches:
        calibration.add("head_in", model.trunk(batch))
    for handle in handles:
        handle.remove()


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


def input_steps(model: NeuralModel, calibration: Calibration) -> dict[str, NDArray[np.float64]]:
    """What a step of each channel is worth in the inputs of every product, by the name of the module."""
    steps = {"memory_in": np.concatenate((calibration.steps("bigram"), calibration.steps("trigram")))}
    for number, layer in enumerate(model.stack()):
        mix_in_D, prefix = calibration.steps(f"{number}.mix_in"), f"layers.{number}"
        if isinstance(layer, AttentionLayer):
            narrower_D = np.repeat(_narrower(model.config, calibration, number), model.config.d_head)
            steps[f"{prefix}.query_key_value"] = mix_in_D
            steps[f"{prefix}.attention_out"] = calibration.steps(f"{number}.value") * narrower_D
        elif isinstance(layer, ConvolutionLayer):
            steps[f"{prefix}.convolution"] = np.tile(mix_in_D, TAPS)
            steps[f"{prefix}.convolution_out"] = calibration.steps(f"{number}.taps_hidden")
        steps[f"{prefix}.expand"] = calibration.steps(f"{number}.expand_in")
        steps[f"{prefix}.contract"] = calibration.steps(f"{number}.hidden")
    return {**steps, HEAD: calibration.steps("head_in")}


def _narrower(config: NeuralConfig, calibration: Calibration, number: int) -> NDArray[np.float64]:
    """How much narrower than values their mean is, of each head."""
    ratio_D = calibration.steps(f"{number}.mixed") / calibration.steps(f"{number}.value")
    return ratio_D.reshape(config.n_heads, config.d_head).max(axis=1)


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
            rows["value_scale"].append(1 / _narrower(config, calibration, number))
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
