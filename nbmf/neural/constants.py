"""The adaptation's constants (nbmf/_core/adaptation.h), and their file: one safetensors file, float64 throughout."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf._core import CONFIDENCES, CONTEXTS, COPY_GATES, EXPERTS, GATES, MATCH_LENGTHS, STEPS
from nbmf.neural import tensors

SHARES = (CONTEXTS + 1, CONFIDENCES, CONFIDENCES)
DEFAULT_NETWORK_SHARE = 0.8


class Constants(NamedTuple):
    """Fitted on validation records; part of the codec version. In the order of the core's struct.

    S: of the two steps, token or cluster first, then the token of a cluster. Where there are no clusters the second
    is not used.
    """

    discount_K: NDArray[np.float64]  # subtracted from every count of an order
    spread_K: NDArray[np.float64]  # times distinct tokens: weight of the shorter context
    spread_floor_K: NDArray[np.float64]  # that weight is at least this
    prior_SE: NDArray[np.float64]  # mixture weights at a record's start
    share_S: NDArray[np.float64]  # part of the prior mixed back after every token
    gate_SGE: NDArray[np.float64]  # factors of the weights in each situation
    copy_gate_SGE: NDArray[np.float64]  # and for each kind of copy on offer
    gate_rate_S: NDArray[np.float64]  # how fast the factors follow the record
    copy_SLB: NDArray[np.float64]  # trust in a copy by match length and network probability
    copy_strength_S: NDArray[np.float64]  # how many trials that trust is worth against the record's own
    network_share_SOCC: NDArray[np.float64]  # by longest context, the static counts' confidence, the network's
    flat_share: NDArray[np.float64]  # [] of records that are coded by the network's flat_exp


_ONE_STEP = {
    name: re.sub(r"_S([A-Z]*)$", lambda found: found[1] and f"_{found[1]}", name) for name in Constants._fields
}
"""Names in files that were made before there was a second step."""


def default_constants() -> Constants:
    """A start for fitting, and for networks nothing was fitted for."""
    length_L = np.minimum(0.3 + 0.06 * np.arange(MATCH_LENGTHS), 0.95)
    likely_B = np.array([0.97, 0.9, 0.75, 0.6, 0.45, 0.3])  # one for each of COPY_BUCKETS
    prior_E = np.array([0.3, 0.07, 0.05, 0.11, 0.32, 0.15])
    return Constants(
        discount_K=np.array([0.68, 0.4, 0.31, 0.1]),
        spread_K=np.array([4.8, 2.0, 1.2, 0.7]),
        spread_floor_K=np.array([160.0, 0.01, 0.01, 0.01]),
        prior_SE=np.tile(prior_E, (STEPS, 1)),
        share_S=np.full(STEPS, 0.066),
        gate_SGE=np.ones((STEPS, GATES, EXPERTS)),
        copy_gate_SGE=np.ones((STEPS, COPY_GATES, EXPERTS)),
        gate_rate_S=np.full(STEPS, 0.1),
        copy_SLB=np.tile(0.5 * length_L[:, None] + 0.5 * likely_B[None, :], (STEPS, 1, 1)),
        copy_strength_S=np.full(STEPS, 1000.0),
        network_share_SOCC=np.full((STEPS, *SHARES), DEFAULT_NETWORK_SHARE),
        flat_share=np.array(0.5),
    )


def save_constants(constants: Constants, path: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in constants._asdict().items()}
    save_file(arrays, str(path))


def load_constants(data: bytes) -> Constants:
    """From the content of such a file. Raises ValueError if it is none."""
    arrays, _ = tensors.views(data)
    values: dict[str, Any] = {}
    for name, default in default_constants()._asdict().items():
        if name in arrays:
            values[name] = np.array(arrays[name])
        elif _ONE_STEP[name] in arrays:
            values[name] = np.stack([arrays[_ONE_STEP[name]]] * STEPS)
        elif name in ("network_share_SOCC", "flat_share"):  # in versions that were made before there were
            values[name] = default
        else:
            raise ValueError(f"no adaptation constants: {name} is missing")
        if np.shape(values[name]) != np.shape(default):
            raise ValueError(f"no adaptation constants: {name} has the shape {np.shape(values[name])}")
    return Constants(**values)
