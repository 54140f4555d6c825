"""Whether a version fits records: what it makes of them beside what it made of its own held-out records.

Bits a byte of whole blobs are compared, by class and by kind. What is expected of a class is what the version made of
that class when it was trained; where its manifest has no such numbers, what it made of records of the same kinds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from nbmf.manifest import Manifest
from train_app.results.stability import BUILT_IN, OURS

MIN_RECORDS = 20
"""Of fewer nothing is said."""

FITS_UP_TO, LARGER_UP_TO = 1.25, 1.5
"""Times the bits a byte that are expected. The built-in version takes 1.23 times at most of sets as it learnt from, and
1.17 to 3.32 times of sets of other sources (docs/data.md)."""

_SHORTER = 0.5
_NOTICED = 0.02


class Verdict(enum.StrEnum):
    """What is said of a class or kind."""

    FITS = "fits"
    LARGER = "larger"
    DOES_NOT_FIT = "does not fit"
    TOO_FEW = "too few"
    UNKNOWN = "not known"


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
    learnt = _object(manifest.data, "kinds")
    return [
        _fit(kind, row, _expected_of_kind(kind, manifest.measured), "" if not learnt or kind in learnt else "kind")
        for kind, row in measured["kinds"].items()
    ]


def fits_by_class(measured: dict[str, Any], kinds: dict[str, dict[str, int]], manifest: Manifest) -> list[Fit]:
    """The same by class, those with most bytes first; `kinds` has the bytes of each kind that a class has."""
    learnt, own = manifest.data.get("classes"), _object(manifest.measured, "classes")
    rows = sorted(measured["classes"].items(), key=lambda one: (-one[1][OURS]["raw_bytes"], one[0]))
    return [
        _fit(
            name,
            row,
            _sizes(own, name) or _expected_of_kinds(kinds[name], manifest.measured),
            "class" if isinstance(learnt, dict) and name not in learnt else "",
        )
        for name, row in rows
    ]


def own_ratio(manifest: Manifest) -> float | None:
    """Total ratio of the version's own held-out records; None where its manifest has none."""
    row = _sizes(manifest.measured, "all")
    return row["raw_bytes"] / row["coded_bytes"] if row else None


def _object(held: dict[str, Any], name: str) -> dict[str, Any]:
    """Of a manifest that anybody may have written."""
    found = held.get(name)
    return found if isinstance(found, dict) else {}


def _sizes(tables: dict[str, Any], name: str) -> dict[str, float] | None:
    """What a version's own measurements say of it: {records, raw_bytes, coded_bytes}; None where they do not."""
    row = _object(_object(tables, name), OURS)
    sizes = {key: row.get(key) for key in ("records", "raw_bytes", "coded_bytes")}
    return sizes if all(type(size) is int and size > 0 for size in sizes.values()) else None  # type: ignore[return-value]


def _expected_of_kind(kind: str, held_out: dict[str, Any]) -> dict[str, float] | None:
    """What was measured of a kind, or of all records."""
    return _sizes(_object(held_out, "kinds"), kind) or _sizes(held_out, "all")


def _expected_of_kinds(kinds: dict[str, int], held_out: dict[str, Any]) -> dict[str, float] | None:
    """The kinds' sizes together, in the class's proportions."""
    expected = {"records": 0.0, "raw_bytes": 0.0, "coded_bytes": 0.0}
    for kind, raw_bytes in kinds.items():
        if (row := _expected_of_kind(kind, held_out)) is None:
            return None
        for name in expected:
            expected[name] += row[name] * raw_bytes / row["raw_bytes"]
    return expected


def _fit(name: str, row: dict[str, Any], expected: dict[str, float] | None, not_learnt: str) -> Fit:
    ours, built_in = row[OURS], row.get(BUILT_IN)
    bits, wanted = _bits_per_byte(ours), _bits_per_byte(expected) if expected else None
    verdict = _verdict(ours["records"], bits, wanted)
    return Fit(
        name,
        ours["records"],
        ours["raw_bytes"],
        round(bits, 4),
        None if wanted is None else round(wanted, 4),
        ours["total_ratio"],
        row["zstd-19"]["total_ratio"],
        built_in["total_ratio"] if built_in else None,
        verdict,
        " ".join(_advice(verdict, ours, expected, built_in, not_learnt)),
    )


def _bits_per_byte(row: dict[str, Any]) -> float:
    return float(8 * row["coded_bytes"] / row["raw_bytes"])


def _verdict(records: int, bits: float, expected: float | None) -> Verdict:
    if records < MIN_RECORDS:
        return Verdict.TOO_FEW
    if expected is None:
        return Verdict.UNKNOWN
    if bits <= FITS_UP_TO * expected:
        return Verdict.FITS
    return Verdict.LARGER if bits <= LARGER_UP_TO * expected else Verdict.DOES_NOT_FIT


def _advice(
    verdict: Verdict,
    ours: dict[str, Any],
    expected: dict[str, float] | None,
    built_in: dict[str, Any] | None,
    not_learnt: str,
) -> Iterator[str]:
    """Sentences."""
    saved = 1 - built_in["coded_bytes"] / ours["coded_bytes"] if built_in else 0
    if verdict is not Verdict.TOO_FEW and saved > _NOTICED:
        yield f"The built-in version takes {saved:.0%} less: encode these with it, or train."
    if verdict is Verdict.UNKNOWN:
        yield "The version has no measurements of its own to compare with."
    if verdict not in (Verdict.LARGER, Verdict.DOES_NOT_FIT) or expected is None:
        return
    if not_learnt:
        yield f"The version learnt nothing of this {not_learnt}: train one with some of these among its records."
    else:
        yield "They are not what the version learnt from: train one on newer records, with some of these among them."
    mean, there = (row["raw_bytes"] / row["records"] for row in (ours, expected))
    if mean < _SHORTER * there:
        yield f"They are short, {mean:,.0f} bytes in the mean where those were {there:,.0f}: of such less is saved."
