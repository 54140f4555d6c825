"""File of the adaptation's constants: one safetensors file, float64 throughout."""

from pathlib import Path
from typing import Any

import numpy as np

from nbmf.neural.adaptation import EXPERTS, GATES, MATCH_LENGTHS, ORDERS, Constants

_SCALARS = ("share", "gate_rate", "copy_strength")


def default_constants() -> Constants:
    """Untuned: what the chain and the mixture were first tried with."""
    length_L = np.minimum(0.3 + 0.06 * np.arange(MATCH_LENGTHS), 0.95)
    likely_B = np.array([0.97, 0.9, 0.75, 0.6, 0.45, 0.3])
    return Constants(
        discount_K=np.full(ORDERS, 0.4),
        spread_K=np.array([1.0, 0.7, 0.7, 0.7]),
        spread_floor_K=np.array([20.0, 0.01, 0.01, 0.01]),
        prior_E=np.array([0.45, 0.1, 0.1, 0.12, 0.13, 0.1]),
        share=0.03,
        gate_GE=np.ones((GATES, EXPERTS)),
        gate_rate=0.0,
        copy_LB=0.5 * length_L[:, None] + 0.5 * likely_B[None, :],
        copy_strength=8.0,
    )


def save_constants(constants: Constants, path: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in constants._asdict().items()}
    save_file(arrays, str(path))


def load_constants(data: bytes) -> Constants:
    """From the content of such a file. Raises ValueError if it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        values: dict[str, Any] = {
            name: float(array) if name in _SCALARS else np.ascontiguousarray(array)
            for name, array in load(data).items()
        }
        return Constants(**values)
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"no adaptation constants: {error!r}") from error
