"""Whether a version fits records, by class and by kind, and what to do: by the rule of `cluster.fit`.

What is expected of a class is what the version made of that class when it was trained; where its manifest has no such
numbers, what it made of records of the same kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cluster import fit
from cluster.fit import OURS, Sizes, Verdict
from nbmf.manifest import Manifest
from train_app.results.stability import BUILT_IN

_NOTICED = 0.02


@dataclass(frozen=True, slots=True)
class Fit:
    """Of a class or kind: what the version makes of it, what was expected, and what to do."""

    name: str
    records: int
    raw_bytes: int
    bits_per_byte: float
    expected_bits_per_byte: float | None
    ratio: float
    ratio_zstd: float
    ratio_built_in: float | None
    verdict: Verdict
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def fits_by_kind(measured: dict[str, Any], manifest: Manifest) -> list[Fit]:
    """Of `results.evaluate.ratios` of records."""
    return [
        _fit(kind, row, fit.expected_of_kind(kind, manifest), "" if fit.learnt_of_kind(kind, manifest) else "kind")
        for kind, row in measured["kinds"].items()
    ]


def fits_by_class(measured: dict[str, Any], kinds: dict[str, dict[str, int]], manifest: Manifest) -> list[Fit]:
    """The same by class, those with most bytes first; `kinds` has the bytes of each kind that a class has."""
    learnt, own = manifest.data.get("classes"), fit.held(manifest.measured, "classes")
    rows = sorted(measured["classes"].items(), key=lambda one: (-one[1][OURS]["raw_bytes"], one[0]))
    return [
        _fit(
            name,
            row,
            fit.own_sizes(own, name) or _expected_of_kinds(kinds[name], manifest),
            "class" if isinstance(learnt, dict) and name not in learnt else "",
        )
        for name, row in rows
    ]


def own_ratio(manifest: Manifest) -> float | None:
    """Total ratio of the version's own held-out records; None where its manifest has none."""
    own = Sizes.whole(fit.held(manifest.measured, "all").get(OURS))
    return own.raw_bytes / own.coded_bytes if own and own.is_some else None


def _expected_of_kinds(kinds: dict[str, int], manifest: Manifest) -> Sizes | None:
    """The kinds' sizes together, in the class's proportions."""
    expected = Sizes()
    for kind, raw_bytes in kinds.items():
        if (of_kind := fit.expected_of_kind(kind, manifest)) is None:
            return None
        expected += of_kind * (raw_bytes / of_kind.raw_bytes)
    return expected


def _fit(name: str, row: dict[str, Any], expected: Sizes | None, not_learnt: str) -> Fit:
    ours, built_in = row[OURS], row.get(BUILT_IN)
    found = Sizes.text(ours) or Sizes()
    verdict = fit.verdict(found, expected)
    told = [*_built_in_is_smaller(verdict, ours, built_in), *fit.advice(verdict, found, expected, not_learnt)]
    return Fit(
        name,
        ours["records"],
        ours["raw_bytes"],
        round(found.bits_per_byte, 4),
        None if expected is None else round(expected.bits_per_byte, 4),
        ours["total_ratio"],
        row["zstd-19"]["total_ratio"],
        built_in["total_ratio"] if built_in else None,
        verdict,
        " ".join(told),
    )


def _built_in_is_smaller(verdict: Verdict, ours: dict[str, Any], built_in: dict[str, Any] | None) -> Iterator[str]:
    saved = 1 - built_in["coded_bytes"] / ours["coded_bytes"] if built_in else 0
    if verdict is not Verdict.TOO_FEW and saved > _NOTICED:
        yield f"The built-in version takes {saved:.0%} less: encode these with it, or train."
