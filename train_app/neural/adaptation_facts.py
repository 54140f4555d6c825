"""What the adaptation sees of a network, for fitting its constants without the network.

For every token only three of the network's frequencies matter: the token's, that of the token
the copy expert expects (which depends on the tokens alone), and the sum.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.torch_engine import TorchEngine
from train_app.neural.data import TokenStream

_COLUMNS = ("tokens_N", "expected_N", "network_N", "copied_N", "confidence_N")


@dataclass(frozen=True)
class Facts:
    """Records joined end to end, `starts` as in TokenStream (without type ids)."""

    tokens_N: NDArray[np.int32]
    expected_N: NDArray[np.int64]  # the token to copy, -1 where there is none
    network_N: NDArray[np.float64]  # probability of the token, without adaptation
    copied_N: NDArray[np.float64]  # of the token to copy, 0 where there is none
    confidence_N: NDArray[np.float64]  # of the likeliest token
    starts: NDArray[np.int64]
    type_ids: NDArray[np.int64]  # of each record
    n_bytes: NDArray[np.int64]
    sets: NDArray[np.str_]


def collect_facts(engine: TorchEngine | None, stream: TokenStream, vocab_size: int, bytes_per_set: int) -> Facts:
    """Facts of the first records of every set, about `bytes_per_set` bytes of each. Without an engine: no network's."""
    adaptation = make_adaptation(default_constants(), vocab_size)
    columns: dict[str, list[NDArray[np.generic]]] = {}
    taken: dict[str, int] = {}
    chosen: list[int] = []
    for index, name in enumerate(stream.sets.tolist()):
        if taken.get(name, 0) >= bytes_per_set:
            continue
        taken[name] = taken.get(name, 0) + int(stream.n_bytes[index])
        chosen.append(index)
        record_T = stream.tokens_N[stream.starts[index] : stream.starts[index + 1]].astype(np.int32)
        tokens_T = record_T[1:]
        expected_T = np.zeros(len(tokens_T), dtype=np.int64)
        adaptation.tokens_to_copy(tokens_T, expected_T)
        nothing_T = np.zeros(len(tokens_T))
        shares = _network_shares(engine, record_T, expected_T) if engine else (nothing_T,) * 3
        row: tuple[NDArray[Any], ...] = (tokens_T, expected_T, *shares)
        for column, values in zip(_COLUMNS, row, strict=True):
            columns.setdefault(column, []).append(values)
    lengths = [0, *map(len, columns["tokens_N"])]
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Facts(
        starts=np.cumsum(lengths),
        type_ids=stream.tokens_N[stream.starts[chosen]].astype(np.int64),
        n_bytes=stream.n_bytes[chosen],
        sets=stream.sets[chosen],
        **joined,
    )


def _network_shares(
    engine: TorchEngine, record_T: NDArray[np.int32], expected_T: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The network's probability of each token, of the one to copy, and of the likeliest."""
    (frequencies_TV,) = engine.frequencies([record_T[:-1]])
    rows_T = np.arange(len(expected_T))
    whole_T = frequencies_TV.sum(axis=1, dtype=np.int64)
    copied_T = np.where(expected_T >= 0, frequencies_TV[rows_T, np.maximum(expected_T, 0)], 0)
    return frequencies_TV[rows_T, record_T[1:]] / whole_T, copied_T / whole_T, frequencies_TV.max(axis=1) / whole_T
