"""What the adaptation sees of a network, for fitting its constants without the network.

For every token only few of the network's frequencies matter: the token's, that of the token the copy expert
expects (which depends on the tokens alone), the highest, and the sum; in each of the two steps. They are flat
where that makes the record shorter.

Shape suffixes: N tokens of all records, T of one; S the steps: the symbol, and the token in its cluster, where it is of
one (else certain).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmf._core import STEPS
from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.torch_engine import Predicted
from nbmf.neural.vocabulary import Vocabulary
from train_app.adaptation.core_engine import Engine
from train_app.samples.tokens import TokenStream

_COLUMNS = ("tokens_N", "expected_N", "network_NS", "copied_NS", "confidence_NS")


@dataclass(frozen=True)
class Facts:
    """Records joined end to end, `starts` as in TokenStream (without type ids)."""

    tokens_N: NDArray[np.int32]
    expected_N: NDArray[np.int64]  # the token to copy, -1 where there is none
    network_NS: NDArray[np.float64]  # probability of the outcome, without adaptation
    copied_NS: NDArray[np.float64]  # of the one to copy, 0 where there is none
    confidence_NS: NDArray[np.float64]  # of the likeliest one
    starts: NDArray[np.int64]
    type_ids: NDArray[np.int64]  # of each record
    n_bytes: NDArray[np.int64]
    sets: NDArray[np.str_]
    flat: NDArray[np.bool_]  # whether the record is coded flat
    vocabulary: Vocabulary

    def flat_share(self) -> float:
        """Of flat records; every set weighs the same."""
        shares = [(self.flat[self.sets == name].sum() + 1) / ((self.sets == name).sum() + 2) for name in set(self.sets)]
        return float(np.mean(shares))

    def token_bits(self) -> NDArray[np.float64]:
        """Of every token, without adaptation."""
        token_bits: NDArray[np.float64] = -np.log2(self.network_NS).sum(1)
        return token_bits


def collect_facts(engine: Engine | None, stream: TokenStream, vocabulary: Vocabulary, bytes_per_set: int) -> Facts:
    """Facts of the first records of every set, about `bytes_per_set` bytes of each. Without an engine: no network's."""
    adaptation = make_adaptation(default_constants(), vocabulary)
    columns: dict[str, list[NDArray[np.generic]]] = {}
    taken: dict[str, int] = {}
    chosen: list[int] = []
    flat: list[bool] = []
    for index, name in enumerate(stream.sets.tolist()):
        if taken.get(name, 0) >= bytes_per_set:
            continue
        taken[name] = taken.get(name, 0) + int(stream.n_bytes[index])
        chosen.append(index)
        record_T = stream.tokens_N[stream.starts[index] : stream.starts[index + 1]].astype(np.int32)
        tokens_T = record_T[1:]
        expected_T = np.zeros(len(tokens_T), dtype=np.int64)
        adaptation.tokens_to_copy(tokens_T, expected_T)
        nothing_TS = np.zeros((len(tokens_T), STEPS))
        shares = [(nothing_TS,) * 3]
        if engine:
            (predicted,) = engine.distances([record_T[:-1]], [tokens_T.astype(np.int64)])
            shares = [
                _network_shares(
                    predicted.frequencies(engine.frequency_exp, flat=flattened),
                    engine.config,
                    tokens_T.astype(np.int64),
                    expected_T,
                )
                for flattened in (False, True)
            ]
        flat.append(len(shares) > 1 and bool(np.log(shares[1][0]).sum() > np.log(shares[0][0]).sum()))
        row: tuple[NDArray[Any], ...] = (tokens_T, expected_T, *shares[flat[-1]])
        for column, values in zip(_COLUMNS, row, strict=True):
            columns.setdefault(column, []).append(values)
    lengths = [0, *map(len, columns["tokens_N"])]
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Facts(
        starts=np.cumsum(lengths),
        type_ids=stream.tokens_N[stream.starts[chosen]].astype(np.int64),
        n_bytes=stream.n_bytes[chosen],
        sets=stream.sets[chosen],
        flat=np.array(flat, dtype=bool),
        vocabulary=vocabulary,
        **joined,
    )


def _network_shares(
    predicted: Predicted, vocabulary: Vocabulary, tokens_T: NDArray[np.int64], expected_T: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The network's probability of each outcome, of the one to copy, and of the likeliest."""
    token_TS, copied_TS, sure_TS = (np.zeros((len(tokens_T), STEPS)) for _ in range(3))
    token_TS[:, 1] = sure_TS[:, 1] = 1.0
    clusters_T = vocabulary.clusters(tokens_T)
    for step in range(STEPS):
        at_T = np.arange(len(tokens_T)) if step == 0 else np.flatnonzero(clusters_T >= 0)
        if not len(at_T):
            continue
        frequencies_TS = predicted[step][at_T]
        outcome_T, expected_at_T = vocabulary.symbols(tokens_T), vocabulary.symbols(np.maximum(expected_T, 0))
        there_T = expected_T >= 0
        if step == 1:
            begin_T = vocabulary.n_singles + clusters_T * vocabulary.cluster_size
            outcome_T, expected_at_T = tokens_T - begin_T, expected_T - begin_T
            there_T = there_T & (expected_at_T >= 0) & (expected_at_T < vocabulary.cluster_size)
        whole_T = frequencies_TS.sum(axis=1, dtype=np.int64)
        rows_T = np.arange(len(at_T))
        token_TS[at_T, step] = frequencies_TS[rows_T, outcome_T[at_T]] / whole_T
        expected_at_T = np.where(there_T, expected_at_T, 0)[at_T]
        copied_TS[at_T, step] = np.where(there_T[at_T], frequencies_TS[rows_T, expected_at_T], 0) / whole_T
        sure_TS[at_T, step] = frequencies_TS.max(axis=1) / whole_T
    return token_TS, copied_TS, sure_TS
