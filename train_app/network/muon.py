"""Muon: momentum whose update is orthogonalised by a Newton-Schulz iteration.

Keller Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. For the matrices
between activations; embeddings, memory tables and the head go to AdamW.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def _orthogonalise(matrix: Tensor, steps: int = 5, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Roughly the nearest matrix with singular values of one; products are computed in `dtype`."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.mT if matrix.size(0) > matrix.size(1) else matrix
    x = (x / (x.norm() + 1e-7)).to(dtype)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.to(matrix.dtype)
    return x.mT if matrix.size(0) > matrix.size(1) else x


orthogonalise = _orthogonalise


class Muon(torch.optim.Optimizer):
    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self._dtype = dtype
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"]
                average.lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonalise(parameter.grad.lerp(average, group["momentum"]), dtype=self._dtype)
                rows, columns = parameter.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
