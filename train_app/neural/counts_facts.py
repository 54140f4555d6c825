"""What the adaptation sees of static counts, alone or mixed with a network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nbmf._core import CONFIDENCES
from nbmf.neural.constants import SHARES, default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import core_counts
from train_app.neural.adaptation_facts import Facts

_STEPS = 30
_PRIOR_SHARE, _PRIOR_TOKENS = 0.8, 2.0


@dataclass(frozen=True)
class CountsFacts:
    """For the same tokens as in a network's facts: what the counts gave them."""

    facts: Facts
    order_N: NDArray[np.int64]  # length of the longest context known


def counts_facts(counts: Counts, facts: Facts) -> CountsFacts:
    """The counts' predictions in place of the network's."""
    size = len(facts.tokens_N)
    token_N, copied_N, sure_N, order_N = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size, dtype=np.int64)
    model = make_adaptation(default_constants(), counts.vocab_size, core_counts(counts))
    for record, type_id in enumerate(facts.type_ids):
        span = slice(facts.starts[record], facts.starts[record + 1])
        model.counts_shares(
            int(type_id), facts.tokens_N[span], facts.expected_N[span],
            token_N[span], copied_N[span], sure_N[span], order_N[span],
        )  # fmt: skip
    return CountsFacts(replace(facts, network_N=token_N, copied_N=copied_N, confidence_N=sure_N), order_N)


def fit_counts(counts: Counts, facts: Facts) -> Counts:
    """Discounts and spreads by coordinate search: the mean over sets of ln(bits), counts alone."""

    def objective(candidate: Counts) -> float:
        bits_N = -np.log2(counts_facts(candidate, facts).facts.network_N)
        sums = np.add.reduceat(bits_N, facts.starts[:-1])
        names, which = np.unique(facts.sets, return_inverse=True)
        return float(np.log(np.bincount(which, sums, minlength=len(names))).mean())

    best = objective(counts)
    for name, factor in (("spread_O", 1.5), ("discount_O", 1.3), ("spread_floor_O", 2.5)):
        for index in range(len(getattr(counts, name))):
            for direction in (factor, 1 / factor):
                improved = False
                while True:
                    values = getattr(counts, name).copy()
                    values[index] *= direction
                    tried = counts._replace(**{name: values})
                    score = objective(tried) if values[index] < 0.98 or name != "discount_O" else np.inf
                    if score > best - 1e-5:
                        break
                    best, counts, improved = score, tried, True
                if improved:
                    break
    return counts


def fit_network_share(network: Facts, counted: CountsFacts) -> NDArray[np.float64]:
    """Share of the network in each situation, by expectation maximisation; every set weighs the same."""
    situation_N = _situations(network, counted)
    lengths = np.diff(network.starts)
    _, which = np.unique(network.sets, return_inverse=True)
    bits = -np.log2(network.network_N)
    of_set = np.bincount(which, np.add.reduceat(bits, network.starts[:-1]))
    weight_N = np.repeat(1.0 / of_set[which], lengths)
    weight_N *= len(weight_N) / weight_N.sum()
    share = np.full(int(np.prod(SHARES)), _PRIOR_SHARE)
    whole = np.bincount(situation_N, weight_N, minlength=len(share))
    for _ in range(_STEPS):
        ours = share[situation_N] * network.network_N
        theirs = (1 - share[situation_N]) * counted.facts.network_N
        found = np.bincount(situation_N, weight_N * ours / (ours + theirs), minlength=len(share))
        share = (found + _PRIOR_SHARE * _PRIOR_TOKENS) / (whole + _PRIOR_TOKENS)
    return share.reshape(SHARES)


def joined_facts(network: Facts, counted: CountsFacts, network_share_OCC: NDArray[np.float64]) -> Facts:
    """Facts of the mixture."""
    share_N = network_share_OCC.ravel()[_situations(network, counted)]

    def mixed(name: str) -> NDArray[np.float64]:
        result: NDArray[np.float64] = share_N * getattr(network, name) + (1 - share_N) * getattr(counted.facts, name)
        return result

    return replace(
        network, network_N=mixed("network_N"), copied_N=mixed("copied_N"), confidence_N=mixed("confidence_N")
    )


def _situations(network: Facts, counted: CountsFacts) -> NDArray[np.int64]:
    theirs, ours = _bucket(counted.facts.confidence_N), _bucket(network.confidence_N)
    return (counted.order_N * CONFIDENCES + theirs) * CONFIDENCES + ours


def _bucket(confidence_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """confidence_bucket of each."""
    return np.sum([confidence_N > bound for bound in (0.2, 0.5, 0.9)], axis=0, dtype=np.int64)
