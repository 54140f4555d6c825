"""Rounding to int8 that gradients pass: the network that is trained is the one that its integers will be.

Straight-through (Bengio et al. 2013, arXiv:1308.3432; Jacob et al. 2018, arXiv:1712.05877): forwards the rounded value,
backwards the gradient as if it had not been rounded, and none where it was cut off.
"""

import torch
from torch import Tensor

from nbmf._core import INT8_LIMIT

_LEAST = 1e-12


def rounded(x: Tensor, step: Tensor) -> Tensor:
    """To whole numbers of `step`, which is broadcast, INT8_LIMIT of them at most."""
    exact = (x.float() / step).clamp(-INT8_LIMIT, INT8_LIMIT)
    return ((exact + (exact.round() - exact).detach()) * step).type_as(x)


def rounded_rows(x_OK: Tensor) -> Tensor:
    """Each row to whole numbers of its own step: its largest number is INT8_LIMIT of them."""
    with torch.no_grad():
        step_O1 = x_OK.abs().amax(dim=-1, keepdim=True).clamp(min=_LEAST) / INT8_LIMIT
    return rounded(x_OK, step_O1)
