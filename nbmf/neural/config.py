"""Sizes of a network: one dataclass, three presets."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from nbmf._core import EXTRA_TOKENS, TAPS
from nbmf.neural.record_types import type_id
from nbmf.neural.vocabulary import Vocabulary

ATTENTION, CONVOLUTION = "a", "c"
KINDS = {ATTENTION, CONVOLUTION}
MOST_CONVOLUTIONS = 13
"""Their dilation doubles from each to the next, and the core takes none above 4,096."""

_BOUNDS = {
    "vocab_size": (1, 1 << 16), "n_clusters": (0, 1 << 12), "cluster_size": (0, 1 << 12), "d_model": (1, 1 << 13),
    "n_layers": (0, 64), "n_heads": (1, 1 << 13), "d_feed_forward": (1, 1 << 15), "d_memory": (1, 1 << 12),
    "bigram_bits": (1, 24), "trigram_bits": (1, 24), "window": (1, 500), "d_shift": (0, 1 << 13),
    "rotary_period": (4, 1 << 20),
}  # fmt: skip


@dataclass(frozen=True)
class NeuralConfig(Vocabulary):
    """Everything that fixes the shapes of a network.

    Ids below `vocab_size` are BPE tokens and can be predicted. `vocab_size + i` starts a
    record of type RECORD_TYPES[i]; `vocab_size + EXTRA_TOKENS - 1` stands before the start.
    """

    d_model: int = 192
    n_layers: int = 4
    n_heads: int = 3
    d_feed_forward: int = 768
    d_memory: int = 64
    bigram_bits: int = 16
    trigram_bits: int = 17
    window: int = 256  # a token attends to itself and window - 1 tokens before it
    d_shift: int = 48  # leading channels of the attention input that come from the token before
    rotary_period: int = 4096  # positions after which every rotation has come full circle
    layer_kinds: str = ""  # of each layer, ATTENTION or CONVOLUTION; empty: attention in all

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} is a whole number from {least} to {most}, not {str(value)[:80]}")
        if not isinstance(self.layer_kinds, str):
            raise ValueError("layer_kinds is text")
        if self.d_model % (2 * self.n_heads) or self.d_shift > self.d_model:
            raise ValueError(
                f"d_model {self.d_model}, {self.n_heads} heads and d_shift {self.d_shift}: an even number of channels "
                "belongs to each head, and d_shift is of d_model"
            )
        if self.layer_kinds and (len(self.layer_kinds) != self.n_layers or set(self.layer_kinds) - KINDS):
            raise ValueError(f"{self.n_layers} layers, and layer_kinds {self.layer_kinds!r}: one of a and c for each")
        if self.kinds.count(CONVOLUTION) > MOST_CONVOLUTIONS:
            raise ValueError(f"{self.kinds.count(CONVOLUTION)} convolutions: {MOST_CONVOLUTIONS} at most")
        if self.n_singles < 0:
            raise ValueError(
                f"{self.n_clusters} clusters of {self.cluster_size} tokens in a vocabulary of {self.vocab_size}"
            )

    @property
    def kinds(self) -> str:
        """Of each layer, ATTENTION or CONVOLUTION."""
        return self.layer_kinds or ATTENTION * self.n_layers

    @property
    def dilations(self) -> list[int]:
        """Of the convolutions, in their order: the distance between taps doubles from one to the next."""
        return [1 << index for index in range(self.kinds.count(CONVOLUTION))]

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def n_input_ids(self) -> int:
        return self.vocab_size + EXTRA_TOKENS

    @property
    def padding_id(self) -> int:
        return self.vocab_size + EXTRA_TOKENS - 1

    def type_id(self, record_type: str) -> int:
        return type_id(self.vocab_size, record_type)

    @property
    def macs_per_token(self) -> int:
        """Multiply-adds of the weight products for one token in both steps of the softmax; attention not counted."""
        D, F = self.d_model, self.d_feed_forward
        mixing = {ATTENTION: 4 * D**2, CONVOLUTION: (TAPS + 1) * D**2}
        layers = sum(mixing[kind] + 2 * D * F for kind in self.kinds)
        return 2 * self.d_memory * D + layers + D * (self.n_symbols + self.cluster_size)

    @property
    def n_parameters(self) -> int:
        tables = ((1 << self.bigram_bits) + (1 << self.trigram_bits)) * self.d_memory
        members = self.d_model * (self.vocab_size - self.n_singles - self.cluster_size)
        return self.macs_per_token + members + self.n_input_ids * self.d_model + tables

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def with_(self, **changes: Any) -> "NeuralConfig":
        return replace(self, **changes)


PRESETS: dict[str, NeuralConfig] = {
    "tiny": NeuralConfig(
        vocab_size=512, d_model=32, n_layers=2, n_heads=2, d_feed_forward=64, d_memory=16,
        bigram_bits=10, trigram_bits=10, window=64, d_shift=8,
    ),
    "small": NeuralConfig(
        vocab_size=8192, n_clusters=60, cluster_size=128, d_model=256, n_layers=2, n_heads=4, d_feed_forward=1024,
        d_shift=64, layer_kinds="ca",
    ),
    "base": NeuralConfig(
        vocab_size=4096, d_model=768, n_layers=6, n_heads=12, d_feed_forward=3072, d_memory=64,
        bigram_bits=17, trigram_bits=18, d_shift=192,
    ),
}  # fmt: skip
