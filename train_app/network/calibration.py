"""What goes into every product of the float network: how large it is, and so what a step of int8 is worth there.

A high percentile of what calibration records produce, of each channel where that costs nothing (Xiao et al. 2023,
SmoothQuant).

Shape suffixes as in nbmf.neural.weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nbmf._core import INT8_LIMIT, TAPS
from nbmf.neural.config import NeuralConfig
from train_app.network.batches import Batch, StreamBatches
from train_app.network.model import AttentionLayer, ConvolutionLayer, NeuralModel, rotary_angles, rotate
from train_app.samples.tokens import TokenStream

# Where activations are clipped: of all values of a place, and of those of each channel. Squares have long tails;
# what n-grams are learnt by heart with is too sure in other records, and is cut.
PERCENTILES = {"q": 99.99, "k": 99.99}
CHANNEL_PERCENTILES, OTHER_CHANNEL_PERCENTILE = (
    {"bigram": 85.0, "trigram": 85.0, "hidden": 99.99, "taps_hidden": 99.999},
    99.95,
)
HEAD = "head"
HEADROOM = {"hidden": 1.4}  # times the percentile: cutting the largest squares costs more than rounding the others
LEAST_STEP = 0.1  # of a channel, as a share of its place's median: what is hardly ever used may be, in other records
_BATCHES = 16
_WHOLE = 1e-3  # from an integer: what is off so little is one


class Calibration:
    """Percentiles of absolute activations at named places, of each channel or of all.

    Only the largest values are kept: as many as there are above the percentile.
    """

    def __init__(self, n_tokens: int) -> None:
        """Of so many tokens in all, each seen once at every place."""
        self._n_tokens = n_tokens
        self._largest: dict[str, Tensor] = {}
        self._given: dict[str, NDArray[np.float64]] = {}
        self.moments: dict[str, NDArray[np.float64]] = {}
        """Of the inputs of products as rounded, to round weights by: sums of channel times channel."""

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

    def give(self, name: str, steps_C: NDArray[np.float64]) -> None:
        """The steps of each channel at a place, whatever was seen there."""
        self._given[name] = steps_C

    def step(self, name: str) -> float:
        """The float that one step of int8 is worth, at a place with one for all channels."""
        return float(self._largest[name][-1, 0]) / INT8_LIMIT

    def steps(self, name: str) -> NDArray[np.float64]:
        """The same of each channel."""
        if name in self._given:
            return self._given[name]
        percentile_C = HEADROOM.get(_kind(name), 1.0) * self._largest[name][-1].double().numpy()
        return np.maximum(percentile_C, max(LEAST_STEP * float(np.median(percentile_C)), 1e-6)) / INT8_LIMIT

    def peak(self, name: str) -> float:
        return float(self._largest[name][0].max())


def _kind(name: str) -> str:
    return name.split(".")[-1].rstrip("0123456789")


@torch.no_grad()
def measured(model: NeuralModel, batches: list[Batch]) -> Calibration:
    """Run the float network over `batches` and look at how large all is."""
    model.eval()
    calibration = Calibration(sum(batch.tokens_BT.numel() for batch in batches))
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
    for name, table in (("bigram", model.bigram_memory), ("trigram", model.trigram_memory)):
        if step := step_of_integers(table.weight):
            calibration.give(name, np.full(config.d_memory, step))
    return calibration


def step_of_integers(table_RM: Tensor) -> float | None:
    """What one is worth in a table of a version that was not trained on: it keeps its integers. None if it was."""
    used = table_RM[table_RM != 0].abs()
    if not len(used) or not used.isfinite().all():
        return None
    least = float(used.min())
    whole_RM = table_RM / least
    if whole_RM.abs().max() > INT8_LIMIT + _WHOLE or (whole_RM - whole_RM.round()).abs().max() > _WHOLE:
        return None
    return least


def input_steps(model: NeuralModel, calibration: Calibration) -> dict[str, NDArray[np.float64]]:
    """What a step of each channel is worth in the inputs of every product, by the name of the module."""
    steps = {"memory_in": np.concatenate((calibration.steps("bigram"), calibration.steps("trigram")))}
    for number, layer in enumerate(model.stack()):
        mix_in_D, prefix = calibration.steps(f"{number}.mix_in"), f"layers.{number}"
        if isinstance(layer, AttentionLayer):
            narrower_D = np.repeat(narrower(model.config, calibration, number), model.config.d_head)
            steps[f"{prefix}.query_key_value"] = mix_in_D
            steps[f"{prefix}.attention_out"] = calibration.steps(f"{number}.value") * narrower_D
        elif isinstance(layer, ConvolutionLayer):
            steps[f"{prefix}.convolution"] = np.tile(mix_in_D, TAPS)
            steps[f"{prefix}.convolution_out"] = calibration.steps(f"{number}.taps_hidden")
        steps[f"{prefix}.expand"] = calibration.steps(f"{number}.expand_in")
        steps[f"{prefix}.contract"] = calibration.steps(f"{number}.hidden")
    return {**steps, HEAD: calibration.steps("head_in")}


def narrower(config: NeuralConfig, calibration: Calibration, number: int) -> NDArray[np.float64]:
    """How much narrower than values their mean is, of each head."""
    ratio_D = calibration.steps(f"{number}.mixed") / calibration.steps(f"{number}.value")
    return ratio_D.reshape(config.n_heads, config.d_head).max(axis=1)


def rounding_steps(model: NeuralModel, calibration: Calibration) -> dict[str, Tensor]:
    """For NeuralModel.round_by: of the inputs of products, and of what attention keeps."""
    config = model.config
    steps = {name: torch.from_numpy(steps_K).float() for name, steps_K in input_steps(model, calibration).items()}
    if model.member:
        steps["member"] = steps[HEAD]
    for number, layer in enumerate(model.stack()):
        if isinstance(layer, AttentionLayer):
            for part, name in (("queries", "q"), ("keys", "k")):
                of_heads = [calibration.step(f"{number}.{name}{head}") for head in range(config.n_heads)]
                steps[f"layers.{number}.{part}"] = torch.tensor(of_heads)[:, None, None]
            steps[f"layers.{number}.values"] = torch.from_numpy(calibration.steps(f"{number}.value")).float()
    return steps


def some_batches(stream: TokenStream, model: NeuralModel) -> list[Batch]:
    """To look at: of all parts of a stream."""
    batches = StreamBatches(stream, model.config, model.hash_ids())
    length = min(512, max(1, len(batches) // 2))
    size = max(1, min(8, len(batches) // length - 1))
    return [
        batch for batch, _ in zip(batches.epoch(0, 0, batch_size=size, length=length), range(_BATCHES), strict=False)
    ]
