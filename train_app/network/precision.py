"""What products of activations are computed in while training."""

from __future__ import annotations

import time

import torch

from train_app.network.settings import NeuralTrainConfig
from train_app.network.worker import Together


def autocast_dtype(settings: NeuralTrainConfig, device: torch.device, together: Together) -> torch.dtype | None:
    """The same for all workers; None for float32."""
    if settings.precision == "auto":
        (half,) = together.of_first(float(_bfloat16_is_faster(device)))
        return torch.bfloat16 if half else None
    return torch.bfloat16 if settings.precision == "bfloat16" else None


def _bfloat16_is_faster(device: torch.device) -> bool:
    """Measured, as on many CPUs it is emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.ones(512, 512, dtype=dtype) for _ in range(2))
        a @ b
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        seconds[dtype] = time.perf_counter() - start
    return seconds[torch.bfloat16] < seconds[torch.float32]
