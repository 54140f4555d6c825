"""The specification's models, under its names and with its parameters. Each is a NeuralModel of sizes that fit them:
it trains, becomes integers and is published as the presets' networks are.

    encoder = TransformerNBMFEncoder(d_model=256, nhead=4, num_layers=4, dim_feedforward=1024)
    settings = config.load(NeuralTrainConfig, None, default_file("base"), {"network": encoder.network})
    job.run(sources, registry, train_config, "mine", LearningPlan("base", settings, runs_folder))

LatentCompressor compresses vectors, not records: nbmf.vectors has it.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbmf.neural.config import PRESETS, NeuralConfig
from nbmf.vectors.compressor import LatentCompressor
from train_app.network.architectures import Architecture, layer_kinds
from train_app.network.model import NeuralModel

_REST = PRESETS["base"]  # sizes that the specification does not name
_FEED_FORWARD_TIMES = 4


class _Encoder(NeuralModel):
    @property
    def network(self) -> dict[str, int | str]:
        """All its sizes, as `network` of NeuralTrainConfig and of the file of --network-config takes them."""
        return self.config.to_dict()


class TransformerNBMFEncoder(_Encoder):
    """Causal transformer over the tokens of a record; its output is a distribution of the next token.

    `d_model` channels in `nhead` heads, `num_layers` layers of attention, each followed by `dim_feedforward` channels
    of squared ReLU: the defaults are preset `base`. `sizes` are other fields of NeuralConfig, as `vocab_size`. Weights
    are random. Raises ValueError for sizes that do not fit together.
    """

    def __init__(
        self,
        d_model: int = 768,
        nhead: int = 12,
        num_layers: int = 6,
        dim_feedforward: int = 3072,
        **sizes: int | str,
    ) -> None:
        super().__init__(
            _config(Architecture.TRANSFORMER, d_model, num_layers, dim_feedforward, {"n_heads": nhead, **sizes})
        )


class CNNNBMFEncoder(_Encoder):
    """Causal convolutions over the tokens of a record; its output is a distribution of the next token.

    A layer for each of `hidden_channels`, of three taps, with a dilation that doubles from each to the next: n layers
    see 2^(n+1) - 2 tokens before the one they stand at, beside the three of the n-gram memory. The exact network has
    one width, as every layer adds to the same channels. So the largest of `hidden_channels` is that of all layers:
    there are more numbers than in a network that grows to it. Each layer is followed by a feed-forward of four times
    as many channels. `sizes` are other fields of NeuralConfig, as `vocab_size`. Weights are random. Raises ValueError
    for sizes that do not fit together.
    """

    def __init__(self, hidden_channels: Sequence[int] = (64, 128, 256), **sizes: int | str) -> None:
        if not hidden_channels:
            raise ValueError("hidden_channels is empty: one number for each layer")
        width = max(hidden_channels)
        sizes = {"n_heads": 1, **sizes}  # of which convolutions have none
        super().__init__(_config(Architecture.CNN, width, len(hidden_channels), _FEED_FORWARD_TIMES * width, sizes))


def _config(
    architecture: Architecture, d_model: int, n_layers: int, d_feed_forward: int, sizes: dict[str, int | str]
) -> NeuralConfig:
    own: dict[str, int | str] = {
        "d_model": d_model,
        "n_layers": n_layers,
        "d_feed_forward": d_feed_forward,
        "d_shift": d_model // 4,
        "layer_kinds": layer_kinds(architecture, n_layers),
    }
    return _REST.with_(**{**own, **sizes})


__all__ = ["CNNNBMFEncoder", "LatentCompressor", "TransformerNBMFEncoder"]
