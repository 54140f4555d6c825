"""What is expected next before the record's own counts are asked: network, static counts, or both.

Both: a mixture whose share of the network was fitted for each situation (longest context the
counts know, how sure they are, how sure the network is). Exact like the parts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.adaptation import CONFIDENCES, confidence_bucket
from nbmf.neural.counts import CONTEXTS, SCALE, Counts, fill_from_counts, follow, longest_context
from nbmf.neural.jit import inlined
from nbmf.neural.network import Network
from nbmf.neural.scalars import Real, Whole
from nbmf.neural.weights import FREQUENCY_PEAK

SHARES = (CONTEXTS + 1, CONFIDENCES, CONFIDENCES)


class Predictor(NamedTuple):
    """The fixed part. Without a network its head has no rows; without counts they have no tokens."""

    network: Network
    counts: Counts
    network_share_OCC: NDArray[np.float64]  # by longest context, the counts' confidence, the network's


@inlined
def predict(
    predictor: Predictor,
    contexts: NDArray[np.int64],
    last: Whole,
    network_V: NDArray[np.int32],
    network_total: Whole,
    counts_V: NDArray[np.int32],
    base_V: NDArray[np.int32],
) -> tuple[Whole, Real]:
    """After the token `last`: frequencies into base_V; their sum, and the highest probability.

    `network_V` is what the network gave, by whichever engine; `contexts` follow the record; `counts_V` is work space.
    """
    counts = predictor.counts
    if len(predictor.network.head_VD) == 0:
        follow(counts, contexts, last)
        total, best = fill_from_counts(counts, contexts, base_V)
        return total, np.float64(best) / np.float64(total)
    sure = np.float64(FREQUENCY_PEAK) / np.float64(network_total)
    if len(counts.token_N) == 0:
        for token in range(len(base_V)):
            base_V[token] = network_V[token]
        return network_total, sure
    follow(counts, contexts, last)
    counts_total, best = fill_from_counts(counts, contexts, counts_V)
    counts_sure = np.float64(best) / np.float64(counts_total)
    order = longest_context(counts, contexts)
    share = predictor.network_share_OCC[order, confidence_bucket(counts_sure), confidence_bucket(sure)]
    network_factor = np.float32(share * SCALE / np.float64(network_total))
    counts_factor = np.float32((1.0 - share) * SCALE / np.float64(counts_total))
    total = np.int64(0)
    for token in range(len(base_V)):
        of_network = np.float32(network_V[token]) * network_factor
        of_counts = np.float32(counts_V[token]) * counts_factor
        base_V[token] = np.int32(of_network + of_counts) + 1
        total += base_V[token]
    return total, share * sure + (1.0 - share) * counts_sure
