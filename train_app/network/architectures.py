"""Three settings of the one network, by the kinds of its layers: what `nbmf train --architecture` names."""

from __future__ import annotations

import enum

from nbmf.neural.config import ATTENTION, CONVOLUTION, PRESETS, NeuralConfig


class Architecture(enum.StrEnum):
    """Attention in all layers, causal dilated convolutions in all, or both in turns, a convolution first."""

    TRANSFORMER = "transformer"
    CNN = "cnn"
    HYBRID = "hybrid"


_IN_TURNS = {
    Architecture.TRANSFORMER: ATTENTION,
    Architecture.CNN: CONVOLUTION,
    Architecture.HYBRID: CONVOLUTION + ATTENTION,
}


def layer_kinds(architecture: Architecture, n_layers: int) -> str:
    """NeuralConfig.layer_kinds of so many layers. Raises ValueError for a hybrid of one."""
    turn = _IN_TURNS[architecture]
    if n_layers < len(turn):
        raise ValueError(f"a {architecture} has {len(turn)} layers and more, not {n_layers}")
    return (turn * n_layers)[:n_layers]


def architecture_of(config: NeuralConfig) -> Architecture:
    """By the kinds of layers there are, in whatever order."""
    kinds = set(config.kinds)
    if len(kinds) > 1:
        return Architecture.HYBRID
    return Architecture.CNN if kinds == {CONVOLUTION} else Architecture.TRANSFORMER


def with_architecture(network: dict[str, int | str], preset: str, architecture: Architecture) -> dict[str, int | str]:
    """NeuralTrainConfig.network for a preset with layers of these kinds, as many as it says or the preset has.

    `preset` is of nbmf.neural.config.PRESETS. Raises ValueError where `network` names other kinds itself.
    """
    n_layers = int(network.get("n_layers", PRESETS[preset].n_layers))
    kinds = layer_kinds(architecture, n_layers)
    if network.get("layer_kinds", kinds) != kinds:
        raise ValueError(
            f"network.layer_kinds is {network['layer_kinds']!r}, and {architecture} of {n_layers} layers is {kinds!r}"
        )
    return {**network, "layer_kinds": kinds}
