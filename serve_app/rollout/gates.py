"""The gates: what rolls a candidate back, and what it still lacks to go on."""

from __future__ import annotations

from dataclasses import dataclass

from serve_app.observe.measurements import Measurements
from serve_app.rollout_policy import RolloutPolicy


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate. `passed` is None while too little was measured to tell."""

    name: str
    measured: str
    limit: str
    passed: bool | None

    def __str__(self) -> str:
        return f"{self.name}: {self.measured}, limit {self.limit}"


def gates(policy: RolloutPolicy, measured: Measurements) -> list[Gate]:
    """All gates of a state, judged."""
    judges = (_samples, _decoding, _faults, _ratio, _latency)
    return [_loads(measured), *(judge(policy, measured) for judge in judges)]


def _loads(measured: Measurements) -> Gate:
    return Gate("loading", measured.load_failure or "no failure", "no failure", measured.load_failure is None)


def _samples(policy: RolloutPolicy, measured: Measurements) -> Gate:
    records = measured.compared.records
    return Gate("samples", f"{records} compared", f"{policy.min_samples}", records >= policy.min_samples or None)


def _decoding(policy: RolloutPolicy, measured: Measurements) -> Gate:
    """One wrong blob is too many, however few were decoded."""
    counts = measured.candidate
    text = f"{counts.mismatches} of {counts.verified} decoded blobs were wrong"
    if counts.mismatches:
        return Gate("decoding", text, "0", False)
    return Gate("decoding", text, "0", counts.verified >= policy.min_samples or None)


def _faults(policy: RolloutPolicy, measured: Measurements) -> Gate:
    """Judged as soon as min_samples could no longer bring the rate below the limit."""
    stable, candidate = measured.stable, measured.candidate
    usual = stable.faults / stable.records if stable.records else 0.0
    excess = candidate.faults - usual * candidate.records
    text = f"{candidate.faults} of {candidate.records} records, stable {usual:.2%}"
    limit = f"{policy.max_error_rate:.2%} over stable"
    if excess > policy.max_error_rate * max(candidate.records, policy.min_samples):
        return Gate("faults", text, limit, False)
    return Gate("faults", text, limit, candidate.records >= policy.min_samples or None)


def _ratio(policy: RolloutPolicy, measured: Measurements) -> Gate:
    both = measured.compared
    limit = f"{policy.min_ratio_of_stable:g} of stable's"
    if not both.candidate_bytes:
        return Gate("ratio", "nothing compared", limit, None)
    of_stable = both.stable_bytes / both.candidate_bytes
    text = f"{of_stable:.3f} of stable's over {both.records} records"
    enough = both.records >= policy.min_samples
    return Gate("ratio", text, limit, of_stable >= policy.min_ratio_of_stable if enough else None)


def _latency(policy: RolloutPolicy, measured: Measurements) -> Gate:
    candidate, stable = (c.encode_ms.quantile_ms(0.95) for c in (measured.candidate, measured.stable))
    limit = f"{policy.max_p95_of_stable:g} of stable's, or {policy.p95_budget_ms:g} ms"
    if candidate is None or stable is None:
        return Gate("p95", "nothing measured", limit, None)
    text = f"{candidate:.1f} ms, stable {stable:.1f} ms"
    good = candidate <= max(policy.p95_budget_ms, policy.max_p95_of_stable * stable)
    enough = min(measured.candidate.encode_ms.times, measured.stable.encode_ms.times) >= policy.min_samples
    return Gate("p95", text, limit, good if enough else None)
