"""Learning rates, and optimisers for the parts of the network."""

from __future__ import annotations

from typing import Any

import torch

from train_app.network.model import NeuralModel
from train_app.network.muon import Muon
from train_app.network.settings import NeuralTrainConfig


def learning_rate_share(progress: float, step: int, settings: NeuralTrainConfig) -> float:
    """Warm-up, plateau, linear fall; `progress` is the share of the budget used."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    left = min(1.0, (1 - progress) / (1 - settings.cooldown_from))
    floor = settings.final_lr_share
    return warm * (floor + (1 - floor) * max(0.0, left))


def make_optimisers(
    model: NeuralModel, settings: NeuralTrainConfig, muon_dtype: torch.dtype = torch.bfloat16
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices, AdamW for embeddings, n-gram tables and head; of what takes gradients."""
    head = [model.head.weight, *(model.member.parameters() if model.member else [])]
    tables = [model.bigram_memory.weight, model.trigram_memory.weight]
    muon = Muon(
        [model.memory_in.weight, *model.layers.parameters()],
        lr=settings.muon_lr,
        weight_decay=settings.weight_decay,
        dtype=muon_dtype,
    )
    groups: list[dict[str, Any]] = [
        {
            "params": [model.embedding.weight],
            "lr": settings.embedding_lr,
            "weight_decay": settings.embedding_weight_decay,
        },
        {"params": tables, "lr": settings.memory_lr, "weight_decay": settings.memory_weight_decay},
        {"params": head, "lr": settings.head_lr},
    ]
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    adam = torch.optim.AdamW(
        [group for group in groups if group["params"]],
        betas=(0.9, 0.98),
        eps=1e-10,
        weight_decay=0.0,
        fused=True,
    )
    for optimiser in (muon, adam):
        for group in optimiser.param_groups:
            group["base_lr"] = group["lr"]
    return muon, adam


def set_learning_rates(optimisers: tuple[torch.optim.Optimizer, ...], share: float) -> None:
    """Every group's own rate times `share`."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["base_lr"] * share
