"""One optimiser step, made of portions: the same gradient whoever takes which sequences, and how many at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from train_app.network.batches import Batch
from train_app.network.distillation import Distillation
from train_app.network.feed import Part
from train_app.network.model import NeuralModel
from train_app.network.worker import Together


class _WeightedLoss(nn.Module):
    """What DistributedDataParallel calls; the model keeps the names of its parameters."""

    def __init__(self, model: NeuralModel, distillation: Distillation | None) -> None:
        super().__init__()
        self.model = model
        self._distillation = distillation

    def forward(self, batch: Batch, weight: float) -> tuple[Tensor, Tensor]:
        """(mean nats times the weight, mean nats)."""
        loss = self._distillation.loss(self.model, batch) if self._distillation else self.model.loss(batch)
        return loss * weight, loss.detach()


class Gradients:
    """Adds up the gradients of a step's portions, over all workers, and what they cost."""

    def __init__(
        self,
        model: NeuralModel,
        together: Together,
        autocast_dtype: torch.dtype | None,
        distillation: Distillation | None = None,
    ) -> None:
        self._together = together
        self._parallel = together.parallel(_WeightedLoss(model, distillation))
        self._parameters = list(model.parameters())
        self._device = self._parameters[0].device
        self._dtype = autocast_dtype
        self.nats = torch.zeros((), dtype=torch.float64, device=self._device)
        self.norms: list[Tensor] = []

    def add(self, part: Part) -> None:
        """Its gradient; with the last of a step, gradients are those of the mean over the targets of all workers."""
        weight = part.portion.weight * self._together.world  # gradients are averaged over the workers
        with self._alone(part.last), self._autocast():
            weighted, loss = self._parallel(part.batch, weight)
        with self._alone(part.last):
            weighted.backward()
        self.nats += loss.double() * part.portion.counted

    def step(self, optimisers: Iterable[torch.optim.Optimizer]) -> None:
        """Moves the weights, and begins anew."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        self.norms.append(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).norm())
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()

    def taken(self) -> tuple[float, float]:
        """(nats of this worker's targets, mean norm of the gradient) since this was asked for last."""
        nats, norm = float(self.nats), float(torch.stack(self.norms).mean())
        self.nats.zero_()
        self.norms.clear()
        return nats, norm

    def _alone(self, last: bool) -> Any:
        """Gradients are exchanged once a step."""
        if last or not isinstance(self._parallel, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self._parallel.no_sync()

    def _autocast(self) -> Any:
        return torch.autocast(self._device.type, self._dtype) if self._dtype else nullcontext()
