"""The adaptation's constants (nbmf/_core/adaptation.h), and their file: one safetensors file, float64 throughout."""

from __future__ import annotations

import math
import re
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbmf._core import (
    CONFIDENCES,
    CONTEXTS,
    COPY_BUCKETS,
    COPY_GATES,
    EXPERTS,
    GATES,
    MATCH_LENGTHS,
    ORDERS,
    STEPS,
)
from nbmf.neural import tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARES = (CONTEXTS + 1, CONFIDENCES, CONFIDENCES)
DEFAULT_NETWORK_SHARE = 0.8
DEFAULT_FLAT_SHARE = 0.5


class Constants(NamedTuple):
    """Fitted on validation records; part of the codec version. In the order of the core's struct.

    S: of the two steps, token or cluster first, then the token of a cluster. Where there are no clusters the second
    is not used. As `load_constants` gives them, arrays are memoryviews; `numpy` makes NumPy's of them.
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
    flat_share: NDArray[np.float64]  # [1] of records that are coded flat: at a temperature above 1

    def numpy(self) -> Constants:
        """The same, where they stand."""
        import numpy as np

        return Constants(*map(np.asarray, self))

    def flat(self) -> memoryview[Any]:
        """All numbers, float64."""
        fields: tuple[Any, ...] = self
        return memoryview(b"".join(memoryview(field).tobytes() for field in fields)).cast("d")


_SHAPES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("discount_K", "spread_K", "spread_floor_K"), (ORDERS,)),
    **dict.fromkeys(("share_S", "gate_rate_S", "copy_strength_S"), (STEPS,)),
    "prior_SE": (STEPS, EXPERTS),
    "gate_SGE": (STEPS, GATES, EXPERTS),
    "copy_gate_SGE": (STEPS, COPY_GATES, EXPERTS),
    "copy_SLB": (STEPS, MATCH_LENGTHS, COPY_BUCKETS),
    "network_share_SOCC": (STEPS, *SHARES),
    "flat_share": (1,),
}


_ONE_STEP = {
    name: re.sub(r"_S([A-Z]*)$", lambda found: found[1] and f"_{found[1]}", name) for name in Constants._fields
}
"""Names in files that were made before there was a second step."""


def default_constants() -> Constants:
    """A start for fitting, and for networks nothing was fitted for."""
    import numpy as np

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
        flat_share=np.array([DEFAULT_FLAT_SHARE]),
    )


def save_constants(constants: Constants, path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in constants._asdict().items()}
    save_file(arrays, str(path))


def load_constants(data: bytes) -> Constants:
    """From the content of such a file. Raises ValueError if it is none."""
    arrays, _ = tensors.views(data)
    default = bytes(memoryview(array("d", [DEFAULT_NETWORK_SHARE]) * math.prod(SHARES)))
    arrays.setdefault("network_share_OCC", memoryview(default).cast("d", SHARES))  # old versions without counts
    arrays.setdefault("flat_share", memoryview(array("d", [DEFAULT_FLAT_SHARE])))  # and with one temperature
    values: dict[str, Any] = {}
    for name in Constants._fields:
        shape, times = _SHAPES[name], 1
        found, wanted = arrays.get(name), shape
        if found is None:
            found, wanted, times = arrays.get(_ONE_STEP[name]), shape[1:] or (1,), STEPS
        if found is None:
            raise ValueError(f"no adaptation constants: {name} is missing")
        if found.format != "d" or found.shape != wanted:
            raise ValueError(f"no adaptation constants: {name} has type {found.format} and shape {found.shape}")
        values[name] = memoryview(found.tobytes() * times).cast("d", shape)
    return Constants(**values)
