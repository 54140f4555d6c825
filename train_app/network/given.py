"""A trained network that comes as a folder: its definition, weights in half precision and vocabulary.

config.json (`network`: sizes; `kinds` of layers; `singles`, `clusters`, `cluster_size`), model.safetensors,
tokenizer.json. It was trained on the ids of its vocabulary, and `slot_V` says where each token stands in the
softmax. Here the slots become the ids, and n-grams are hashed as in training.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from nbmf._core import EXTRA_TOKENS
from nbmf.neural.config import NeuralConfig
from train_app.network.failure import TrainingFailed
from train_app.network.model import NeuralModel
from train_app.vocabulary.tokenizer import renumbered

_NAMES = {".mix.": ".convolution.", ".out.": ".convolution_out.", "top.": "head."}


def load_given(folder: Path) -> tuple[NeuralModel, Tokenizer]:
    """The float network, on the CPU, for evaluation, and its vocabulary. Raises TrainingFailed if there is none."""
    try:
        described = json.loads((folder / "config.json").read_text())
        config = NeuralConfig(
            **described["network"],
            layer_kinds=described["kinds"],
            n_clusters=described["clusters"],
            cluster_size=described["cluster_size"],
        )
        state = load_file(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers has no errors of its own
        raise TrainingFailed(f"{folder} holds no trained network: {error}") from error
    slot_V = state.pop("slot_V")
    model = NeuralModel(config)
    model.restore(_by_slots({name: tensor.float() for name, tensor in state.items()}, slot_V, config.n_singles))
    tokenizer = renumbered(tokenizer, slot_V.tolist())
    return model.eval(), tokenizer


def _by_slots(state: dict[str, Tensor], slot_V: Tensor, n_singles: int) -> dict[str, Tensor]:
    """Names of NeuralModel's, rows of embeddings in the order of the slots. Rows of the head are in it already."""
    extra = torch.arange(len(slot_V), len(slot_V) + EXTRA_TOKENS)
    old_I = torch.cat((slot_V.argsort(), extra))
    members = state.pop("head.weight")[n_singles:]
    for old, new in _NAMES.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    return {
        **state,
        "member.weight": members,
        "embedding.weight": state["embedding.weight"][old_I],
        "hash_id_I": old_I.to(torch.int32),
    }
