"""Whether a version fits records: the bits that it takes a byte of them, beside those of its own held-out records.

One rule for `nbmf evaluate` and for what a service encodes. What is expected of a kind of records is what the version
made of that kind when it was trained, and where its manifest has no such numbers, of all. Compared is what is left
where base64, digits and floats are cut out (docs/format.md, spans), as far as the manifest tells of that: their binary
takes what it takes, whatever was learnt.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nbmf.coders import spans
from nbmf.manifest import Manifest

OURS = "nbmf"
"""Name of a version in its own measurements."""

TEXT_BYTES, TEXT_CODED_BYTES = "text_bytes", "text_coded_bytes"
"""Of measurements: the sizes without what is cut out; not there where nothing was."""

MIN_RECORDS = 20
"""Of fewer nothing is said."""

FITS_UP_TO, LARGER_UP_TO = 1.25, 1.5
"""Times the bits a byte that are expected. The built-in version takes 1.23 times at most of sets as it learnt from, and
1.17 to 3.32 times of sets of other sources (docs/data.md)."""

_SHORTER = 0.5
_TEXTS = {kind.label for kind in spans.KINDS}


class Verdict(enum.StrEnum):
    """What is said of a class or kind."""

    FITS = "fits"
    LARGER = "larger"
    DOES_NOT_FIT = "does not fit"
    TOO_FEW = "too few"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records, their canonical bytes and those of their blobs. Whole numbers, unless old ones weigh less."""

    records: float = 0
    raw_bytes: float = 0
    coded_bytes: float = 0

    @classmethod
    def whole(cls, row: Any) -> Sizes | None:
        """Of a row of measurements; None for what is none."""
        return cls._of(row, "raw_bytes", "coded_bytes")

    @classmethod
    def text(cls, row: Any) -> Sizes | None:
        """The same without what is cut out."""
        return cls._of(row, TEXT_BYTES, TEXT_CODED_BYTES) or cls.whole(row)

    @classmethod
    def _of(cls, row: Any, *names: str) -> Sizes | None:
        found = [row.get(name) for name in ("records", *names)] if isinstance(row, dict) else [None]
        return cls(*found) if all(type(one) is int and one >= 0 for one in found) else None

    def __add__(self, more: Sizes) -> Sizes:
        return Sizes(self.records + more.records, self.raw_bytes + more.raw_bytes, self.coded_bytes + more.coded_bytes)

    def __mul__(self, weight: float) -> Sizes:
        return Sizes(self.records * weight, self.raw_bytes * weight, self.coded_bytes * weight)

    @property
    def is_some(self) -> bool:
        """Whether there is anything to compare."""
        return min(self.records, self.raw_bytes, self.coded_bytes) > 0

    @property
    def bits_per_byte(self) -> float:
        """0 for nothing."""
        return 8 * self.coded_bytes / self.raw_bytes if self.raw_bytes else 0.0

    @property
    def mean_bytes(self) -> float:
        """Of a record; 0 for none."""
        return self.raw_bytes / self.records if self.records else 0.0


def expected_of_kind(kind: str, manifest: Manifest) -> Sizes | None:
    """What the version made of its held-out records of a kind; of text without such, of all. None: not known."""
    own = own_sizes(held(manifest.measured, "kinds"), kind)
    return own or (own_sizes(manifest.measured, "all") if kind in _TEXTS else None)


def learnt_of_kind(kind: str, manifest: Manifest) -> bool:
    """Whether there were records of a kind among those of the training, as far as the manifest tells."""
    kinds = held(manifest.data, "kinds")
    return not kinds or kind in kinds


def own_sizes(tables: dict[str, Any], name: str) -> Sizes | None:
    """What a version's own measurements say of it; None where they do not."""
    found = Sizes.text(held(tables, name).get(OURS))
    return found if found and found.is_some else None


def held(of: dict[str, Any], name: str) -> dict[str, Any]:
    """An object of a manifest that anybody may have written; empty where there is none."""
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def verdict(
    found: Sizes, expected: Sizes | None, larger_up_to: float = LARGER_UP_TO, min_records: int = MIN_RECORDS
) -> Verdict:
    """`larger_up_to`: times the expected bits a byte over which a version does not fit."""
    if found.records < min_records or not found.is_some:
        return Verdict.TOO_FEW
    if expected is None:
        return Verdict.UNKNOWN
    times = found.bits_per_byte / expected.bits_per_byte
    if times <= FITS_UP_TO:
        return Verdict.FITS
    return Verdict.LARGER if times <= larger_up_to else Verdict.DOES_NOT_FIT


def advice(said: Verdict, found: Sizes, expected: Sizes | None, not_learnt: str = "") -> Iterator[str]:
    """Sentences. `not_learnt`: "kind" or "class", where the version learnt nothing of it."""
    if said is Verdict.UNKNOWN:
        yield "The version has no measurements of its own to compare with."
    if said not in (Verdict.LARGER, Verdict.DOES_NOT_FIT) or expected is None:
        return
    if not_learnt:
        yield f"The version learnt nothing of this {not_learnt}: train one with some of these among its records."
    else:
        yield "They are not what the version learnt from: train one on newer records, with some of these among them."
    if found.mean_bytes < _SHORTER * expected.mean_bytes:
        mean, there = found.mean_bytes, expected.mean_bytes
        yield f"They are short, {mean:,.0f} bytes in the mean where those were {there:,.0f}: of such less is saved."
