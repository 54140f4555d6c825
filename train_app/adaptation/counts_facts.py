"""What the adaptation sees of static counts, alone or mixed with a network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nbmf._core import CONFIDENCES, STEPS
from nbmf.neural.constants import SHARES, default_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import core_counts
from train_app.adaptation.adaptation_facts import Facts

_EM_STEPS = 30
_PRIOR_SHARE, _PRIOR_TOKENS = 0.8, 2.0
_BEFORE_TOKENS = 50.0


@dataclass(frozen=True)
class CountsFacts:
    """For the same tokens as in a network's facts: what the counts gave them."""

    facts: Facts
    order_NS: NDArray[np.int64]  # length of the longest context known


def counts_facts(counts: Counts, facts: Facts) -> CountsFacts:
    """The counts' predictions in place of the network's."""
    token_NS, copied_NS, sure_NS = (np.zeros((len(facts.tokens_N), STEPS)) for _ in range(3))
    order_NS = np.zeros((len(facts.tokens_N), STEPS), dtype=np.int64)
    model = make_adaptation(default_constants(), counts.vocabulary, core_counts(counts))
    for record, type_id in enumerate(facts.type_ids):
        span = slice(facts.starts[record], facts.starts[record + 1])
        model.counts_shares(
            int(type_id), facts.tokens_N[span], facts.expected_N[span],
            token_NS[span], copied_NS[span], sure_NS[span], order_NS[span],
        )  # fmt: skip
    return CountsFacts(replace(facts, network_NS=token_NS, copied_NS=copied_NS, confidence_NS=sure_NS), order_NS)


def counts_objective(counts: Counts, facts: Facts) -> float:
    """The mean over sets of ln(bits), counts alone."""
    bits_N = counts_facts(counts, facts).facts.token_bits()
    sums = np.add.reduceat(bits_N, facts.starts[:-1])
    names, which = np.unique(facts.sets, return_inverse=True)
    return float(np.log(np.bincount(which, sums, minlength=len(names))).mean())


def fit_counts(counts: Counts, facts: Facts) -> Counts:
    """Discounts and spreads by coordinate search on the objective."""
    best = counts_objective(counts, facts)
    for name, factor in (("spread_O", 1.5), ("discount_O", 1.3), ("spread_floor_O", 2.5)):
        for index in range(len(getattr(counts, name))):
            for direction in (factor, 1 / factor):
                improved = False
                while True:
                    values = getattr(counts, name).copy()
                    values[index] *= direction
                    tried = counts._replace(**{name: values})
                    score = counts_objective(tried, facts) if values[index] < 0.98 or name != "discount_O" else np.inf
                    if score > best - 1e-5:
                        break
                    best, counts, improved = score, tried, True
                if improved:
                    break
    return counts


def fit_network_share(
    network: Facts, counted: CountsFacts, before_SOCC: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Shares of the network [STEPS, *SHARES], by expectation maximisation; every set weighs the same.

    `before_SOCC`: shares fitted on other records, which situations that are rare here stay near.
    """
    situation_NS = _situations(network, counted)
    lengths = np.diff(network.starts)
    _, which = np.unique(network.sets, return_inverse=True)
    of_set = np.bincount(which, np.add.reduceat(network.token_bits(), network.starts[:-1]))
    weight_N = np.repeat(1.0 / of_set[which], lengths)
    weight_N *= len(weight_N) / weight_N.sum()
    in_step = [np.ones(len(weight_N), dtype=bool), network.vocabulary.clusters(network.tokens_N) >= 0]
    prior = np.full((STEPS, *SHARES), _PRIOR_SHARE) if before_SOCC is None else before_SOCC
    shares = prior.reshape(STEPS, -1).copy()
    prior_tokens = _PRIOR_TOKENS if before_SOCC is None else _BEFORE_TOKENS
    for step, share in enumerate(shares):
        known = share.copy()
        situation, weight = situation_NS[in_step[step], step], weight_N[in_step[step]]
        ours_N, theirs_N = (facts.network_NS[in_step[step], step] for facts in (network, counted.facts))
        whole = np.bincount(situation, weight, minlength=len(share))
        for _ in range(_EM_STEPS):
            ours, theirs = share[situation] * ours_N, (1 - share[situation]) * theirs_N
            found = np.bincount(situation, weight * ours / (ours + theirs), minlength=len(share))
            share[:] = (found + known * prior_tokens) / (whole + prior_tokens)
    return shares.reshape(STEPS, *SHARES)


def joined_facts(network: Facts, counted: CountsFacts, network_share_SOCC: NDArray[np.float64]) -> Facts:
    """Facts of the mixture."""
    share_NS = np.take_along_axis(network_share_SOCC.reshape(STEPS, -1).T, _situations(network, counted), axis=0)

    def mixed(name: str) -> NDArray[np.float64]:
        result: NDArray[np.float64] = share_NS * getattr(network, name) + (1 - share_NS) * getattr(counted.facts, name)
        return result

    return replace(
        network, network_NS=mixed("network_NS"), copied_NS=mixed("copied_NS"), confidence_NS=mixed("confidence_NS")
    )


def _situations(network: Facts, counted: CountsFacts) -> NDArray[np.int64]:
    theirs, ours = _bucket(counted.facts.confidence_NS), _bucket(network.confidence_NS)
    return (counted.order_NS * CONFIDENCES + theirs) * CONFIDENCES + ours


def _bucket(confidence_NS: NDArray[np.float64]) -> NDArray[np.int64]:
    """confidence_bucket of each."""
    return np.sum([confidence_NS > bound for bound in (0.2, 0.5, 0.9)], axis=0, dtype=np.int64)
