"""Fit the adaptation's constants on validation records.

Every set counts the same: what is
minimised is the sum over sets of the logarithm of their bits. Scalars by coordinate search,
the gates by gradient (the gradient of the log-likelihood by the log of a factor is posterior
minus weight), the copy table by counting.
"""

import numpy as np
from numpy.typing import NDArray

from nbmf._core import COPY_BUCKETS, MATCH_LENGTHS, STEPS
from nbmf.neural.constants import Constants
from nbmf.neural.core import make_adaptation
from train_app.adaptation.adaptation_facts import Facts


class Fit:
    """Facts, and what given constants make of them."""

    def __init__(self, facts: Facts, parity: int | None = None) -> None:
        self.facts = facts
        self.records = [i for i in range(len(facts.sets)) if parity is None or i % 2 == parity]
        self.names = sorted(set(facts.sets[self.records].tolist()))
        self.copy_counts = np.zeros((STEPS, MATCH_LENGTHS, COPY_BUCKETS, 2))
        self.gradients: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def bits(self, constants: Constants) -> dict[str, float]:
        facts = self.facts
        self.copy_counts[:] = 0
        self.gradients = {
            name: (np.zeros_like(constants.gate_SGE), np.zeros_like(constants.copy_gate_SGE)) for name in self.names
        }
        adaptation = make_adaptation(constants, facts.vocabulary)
        total = dict.fromkeys(self.names, 0.0)
        for record in self.records:
            name = str(facts.sets[record])
            span = slice(facts.starts[record], facts.starts[record + 1])
            total[name] += adaptation.record_bits(
                facts.tokens_N[span],
                facts.network_NS[span],
                facts.copied_NS[span],
                facts.confidence_NS[span],
                *self.gradients[name],
                self.copy_counts,
            )
        return total

    def objective(self, constants: Constants) -> float:
        """Mean over sets of ln(bits of the set)."""
        return float(np.mean(np.log(list(self.bits(constants).values()))))

    def network_bits(self) -> dict[str, float]:
        facts, bits_N = self.facts, self.facts.token_bits()
        total = dict.fromkeys(self.names, 0.0)
        for record in self.records:
            span = slice(facts.starts[record], facts.starts[record + 1])
            total[str(facts.sets[record])] += float(bits_N[span].sum())
        return total

    def n_bytes(self) -> dict[str, int]:
        total = dict.fromkeys(self.names, 0)
        for record in self.records:
            total[str(self.facts.sets[record])] += int(self.facts.n_bytes[record])
        return total


def fit_copy(fit: Fit, constants: Constants, *, fitted_before: bool = False) -> Constants:
    """Share of right copies by match length and bucket, shrunk to that of the bucket, or to what was fitted before."""
    fit.bits(constants)
    hits, trials = fit.copy_counts[..., 0], fit.copy_counts[..., 1]
    near, strength = (hits.sum(1, keepdims=True) + 0.5) / (trials.sum(1, keepdims=True) + 1.0), 20.0
    if fitted_before:
        near, strength = constants.copy_SLB, 100.0
    table_SLB = (hits + strength * near) / (trials + strength)
    return constants._replace(copy_SLB=np.clip(table_SLB, 0.001, 0.9995))


def fit_gates(fit: Fit, constants: Constants, steps: int, rate: float = 0.5) -> Constants:
    """Gradient ascent on the logs of both gates' factors (Adagrad, Duchi et al. 2011), pulled to the start a bit."""
    start = [np.log(constants.gate_SGE), np.log(constants.copy_gate_SGE)]
    logs = [log_gate.copy() for log_gate in start]
    squares = [np.full_like(log_gate, 1e-8) for log_gate in logs]

    def current() -> Constants:
        return constants._replace(gate_SGE=np.exp(logs[0]), copy_gate_SGE=np.exp(logs[1]))

    for _ in range(steps):
        bits = fit.bits(current())
        for which in (0, 1):
            parts = [fit.gradients[name][which] / bits[name] for name in fit.names]
            gradient = np.sum(parts, axis=0) - 1e-5 * (logs[which] - start[which])
            squares[which] += gradient**2
            logs[which] += rate * gradient / np.sqrt(squares[which])
    return current()


def _vary(constants: Constants, name: str, index: tuple[int, ...], factor: float) -> Constants:
    changed = getattr(constants, name).copy()
    changed[index] *= factor
    if name == "prior_SE":
        changed /= changed.sum(axis=1, keepdims=True)
    return constants._replace(**{name: changed})


_BELOW_ONE, _MOST = ("share_S", "gate_rate_S", "discount_K"), 0.95
"""Parts of a whole: beyond it weights are negative, and what is coded by them is not bounded any more."""
_OF_A_STEP = ("share_S", "copy_strength_S", "gate_rate_S", "prior_SE")


def fit_scalars(fit: Fit, constants: Constants, factor: float = 1.3) -> Constants:
    """One pass of coordinate search: every scalar up or down by `factor` while it helps."""
    best = fit.objective(constants)
    steps = STEPS if fit.facts.vocabulary.n_clusters else 1
    for name in ("share_S", "copy_strength_S", "gate_rate_S", "discount_K", "spread_K", "spread_floor_K", "prior_SE"):
        places = [
            index for index in np.ndindex(getattr(constants, name).shape) if name not in _OF_A_STEP or index[0] < steps
        ]
        for index in places:
            for direction in (factor, 1 / factor):
                improved = False
                while True:
                    candidate = _vary(constants, name, index, direction)
                    if name in _BELOW_ONE and np.max(getattr(candidate, name)) > _MOST:
                        break
                    score = fit.objective(candidate)
                    if score >= best - 1e-6:
                        break
                    best, constants, improved = score, candidate, True
                if improved:
                    break
    return constants
