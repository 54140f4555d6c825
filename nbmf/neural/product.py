"""Exact products of int8 matrices in PyTorch.

`torch._int_mm` is exact only where its kernel accumulates in 32 bits (x86 with VNNI). On older
processors it saturates 16-bit intermediates and returns wrong sums. A float32 product of
integers is exact in any order of summation while every partial sum stays below 2^24, that is
for up to 1,040 terms of 127 * 127. Which one is used is decided once, by computing products
whose intermediates are as large as they can be, and by the clock.
"""

import timeit
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

FLOAT32_TERMS = (1 << 24) // (127 * 127)  # 1,040


def float32_product(x_NK: Tensor, weight_OK: Tensor) -> Tensor:
    """int8 [N, K] times float32 (integer-valued) [O, K] -> int32 [N, O]."""
    x_NK = x_NK.to(torch.float32)
    if x_NK.size(1) <= FLOAT32_TERMS:
        return (x_NK @ weight_OK.T).to(torch.int32)
    parts = zip(x_NK.split(FLOAT32_TERMS, 1), weight_OK.split(FLOAT32_TERMS, 1), strict=True)
    return torch.stack([(x @ w.T).to(torch.int32) for x, w in parts]).sum(0, dtype=torch.int32)


def _int8_product(x_NK: Tensor, weight_KO: Tensor) -> Tensor:
    return padded_int8_product(x_NK, weight_KO) if x_NK.is_cuda else torch._int_mm(x_NK, weight_KO)


def padded_int8_product(x_NK: Tensor, weight_KO: Tensor) -> Tensor:
    """For GPUs: `torch._int_mm` takes more than 16 rows there, and multiples of 8 terms and outputs. Zeros fill up."""
    (rows, terms), outputs = x_NK.shape, weight_KO.size(1)
    x_NK = pad(x_NK, (0, -terms % 8, 0, max(17 - rows, 0)))
    weight_KO = pad(weight_KO, (0, -outputs % 8, 0, -terms % 8))
    return torch._int_mm(x_NK, weight_KO)[:rows, :outputs]


@cache
def int8_product_is_exact(device: str) -> bool:
    """Whether `torch._int_mm` gives exact sums here, tried on extreme values and odd sizes."""
    generator = np.random.default_rng(0)
    for rows, terms, outputs in ((1, 64, 64), (3, 192, 320), (17, 768, 192), (64, 1024, 96)):
        x = generator.choice(np.array([-127, 127], np.int8), (rows, terms))
        w = generator.choice(np.array([-127, 127], np.int8), (outputs, terms))
        x[0], w[0] = 127, 127
        x[-1], w[-1] = 127, -127
        expected = x.astype(np.int64) @ w.astype(np.int64).T
        try:
            left = torch.from_numpy(x).to(device)
            got = _int8_product(left, torch.from_numpy(w).to(device).t())
        except RuntimeError:
            return False
        if not np.array_equal(got.cpu().numpy(), expected):
            return False
    return True


@cache
def int8_product_pays(device: str) -> bool:
    """Whether `torch._int_mm` is quicker here than the product in float32: on processors without VNNI it is not."""
    if device != "cpu":
        return True
    x, weight = torch.ones(256, 768, dtype=torch.int8), torch.ones(768, 192, dtype=torch.int8)
    floats = weight.t().to(torch.float32)
    products: tuple[Callable[[], Tensor], ...] = (lambda: _int8_product(x, weight), lambda: float32_product(x, floats))
    seconds = [min(timeit.repeat(product, number=1, repeat=5)) for product in products]
    return seconds[0] < seconds[1]


class IntegerMatrix:
    """A weight matrix ready for exact products on one device."""

    def __init__(self, weight_OK: NDArray[np.int8], device: str, exact_int8: bool) -> None:
        weight = torch.from_numpy(np.require(weight_OK, requirements=("C", "W"))).to(device)
        self._int8_KO = weight.t()
        self._float_OK = None if exact_int8 else weight.to(torch.float32)

    def __call__(self, x_NK: Tensor) -> Tensor:
        """int8 [N, K] -> int32 [N, O]."""
        if self._float_OK is not None:
            return float32_product(x_NK, self._float_OK)
        return _int8_product(x_NK, self._int8_KO)
