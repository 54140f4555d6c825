"""File of the adaptation's constants: one safetensors file, float64 throughout."""

from pathlib import Path
from typing import Any

import numpy as np

from nbmf.neural.adaptation import COPY_GATES, EXPERTS, GATES, MATCH_LENGTHS, Constants
from nbmf.neural.prediction import SHARES

DEFAULT_NETWORK_SHARE = 0.8
_SCALARS = ("share", "gate_rate", "copy_strength")


def default_constants() -> Constants:
    """A start for fitting, and for networks nothing was fitted for."""
    length_L = np.minimum(0.3 + 0.06 * np.arange(MATCH_LENGTHS), 0.95)
    likely_B = np.array([0.97, 0.9, 0.75, 0.6, 0.45, 0.3])  # one for each of COPY_BUCKETS
    return Constants(
        discount_K=np.array([0.68, 0.4, 0.31, 0.1]),
        spread_K=np.array([4.8, 2.0, 1.2, 0.7]),
        spread_floor_K=np.array([160.0, 0.01, 0.01, 0.01]),
        prior_E=np.array([0.3, 0.07, 0.05, 0.11, 0.32, 0.15]),
        share=0.066,
        gate_GE=np.ones((GATES, EXPERTS)),
        copy_gate_GE=np.ones((COPY_GATES, EXPERTS)),
        gate_rate=0.1,
        copy_LB=0.5 * length_L[:, None] + 0.5 * likely_B[None, :],
        copy_strength=1000.0,
        network_share_OCC=np.full(SHARES, DEFAULT_NETWORK_SHARE),
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
            name: float(array) if name in _SCALARS else np.array(array) for name, array in load(data).items()
        }
        # Versions made before there were counts have none.
        constants = Constants(**{"network_share_OCC": np.full(SHARES, DEFAULT_NETWORK_SHARE), **values})
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"no adaptation constants: {error!r}") from error
    for name, expected in default_constants()._asdict().items():
        found = np.shape(getattr(constants, name))
        if found != np.shape(expected):
            raise ValueError(f"no adaptation constants: {name} has the shape {found}")
    return constants
