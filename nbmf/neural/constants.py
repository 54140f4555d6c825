"""The adaptation's constants (nbmf/_core/adaptation.h), and their file: one safetensors file, float64 throughout."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf._core import CONFIDENCES, CONTEXTS, COPY_GATES, EXPERTS, GATES, MATCH_LENGTHS
from nbmf.neural import tensors

SHARES = (CONTEXTS + 1, CONFIDENCES, CONFIDENCES)
DEFAULT_NETWORK_SHARE = 0.8
_SCALARS = ("share", "gate_rate", "copy_strength")


class Constants(NamedTuple):
    """Fitted on validation records; part of the codec version. In the order of the core's struct."""

    discount_K: NDArray[np.float64]  # subtracted from every count of an order
    spread_K: NDArray[np.float64]  # times distinct tokens: weight of the shorter context
    spread_floor_K: NDArray[np.float64]  # that weight is at least this
    prior_E: NDArray[np.float64]  # mixture weights at a record's start
    share: float  # part of the prior mixed back after every token
    gate_GE: NDArray[np.float64]  # factors of the weights in each situation
    copy_gate_GE: NDArray[np.float64]  # and for each kind of copy on offer
    gate_rate: float  # how fast the factors follow the record
    copy_LB: NDArray[np.float64]  # trust in a copy by match length and network probability
    copy_strength: float  # how many trials that trust is worth against the record's own
    network_share_OCC: NDArray[np.float64]  # by longest context, the static counts' confidence, the network's


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
    arrays, _ = tensors.views(data)
    try:
        values: dict[str, Any] = {
            name: float(array) if name in _SCALARS else np.array(array) for name, array in arrays.items()
        }
        # Versions made before there were counts have none.
        constants = Constants(**{"network_share_OCC": np.full(SHARES, DEFAULT_NETWORK_SHARE), **values})
    except TypeError as error:
        raise ValueError(f"no adaptation constants: {error!r}") from error
    for name, expected in default_constants()._asdict().items():
        found = np.shape(getattr(constants, name))
        if found != np.shape(expected):
            raise ValueError(f"no adaptation constants: {name} has the shape {found}")
    return constants
