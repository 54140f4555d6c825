"""Results of `nbmf evaluate` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from cluster.fit import Verdict
from nbmf.printable import printable
from train_app.fit.curve import TRIED_TIMES, Curve
from train_app.fit.verdicts import Fit
from train_app.network.settings import COUNTS_ONLY

_SHOWN = 40


def fit_table(first: str, fits: Sequence[Fit]) -> Table:
    """A row a class or kind: bits a byte, there and here, and ratios."""
    more = f", the {_SHOWN} largest of {len(fits):,}" if len(fits) > _SHOWN else ""
    table = Table(title=f"By {first}{more}", box=None, pad_edge=False)
    for column in (first, "records", "bits/byte", "expected", "ratio", "zstd-19", "built-in", "verdict"):
        table.add_column(column, justify="left" if column in (first, "verdict") else "right", overflow="fold")
    for fit in fits[:_SHOWN]:
        numbers = (fit.bits_per_byte, fit.expected_bits_per_byte, fit.ratio, fit.ratio_zstd, fit.ratio_built_in)
        cells = ("" if number is None else f"{number:.2f}" for number in numbers)
        table.add_row(printable(fit.name), f"{fit.records:,}", *cells, fit.verdict.value)
    return table


def advice_lines(first: str, fits: Sequence[Fit]) -> Iterator[str]:
    """What to do about those that do not fit, or one line where all do."""
    told = [fit for fit in fits[:_SHOWN] if fit.advice]
    for fit in told:
        yield f"{first} {printable(fit.name)}: {fit.advice}"
    if not told and all(fit.verdict is Verdict.FITS for fit in fits):
        yield f"Every {first} is as small as what the version learnt from."


def curve_table(curve: Curve) -> Table:
    """A row a version: records learnt from, and the ratio on those that it is measured on."""
    table = Table(box=None, pad_edge=False)
    for column in ("learnt from", "bytes", "ratio"):
        table.add_column(column, justify="right")
    for point in curve.points:
        ratio = curve.raw_bytes / point.coded_bytes
        table.add_row(f"{point.records:,} records", f"{point.coded_bytes:,}", f"{ratio:.2f}")
    ratio = curve.raw_bytes / curve.built_in_bytes
    table.add_row("built-in version", f"{curve.built_in_bytes:,}", f"{ratio:.2f}")
    return table


def curve_lines(curve: Curve, more: int) -> Iterator[str]:
    """What more records would bring, and how far that can be trusted."""
    found, (most, least) = curve.to_dict(more), curve.expected(more)
    yield f"Measured on {curve.measured_records:,} held-out records, {curve.raw_bytes:,} bytes."
    yield (
        f"{more:,} more records like these: {found['saves_at_least']:.0%} to {found['saves_at_most']:.0%} fewer bytes, "
        f"a ratio of {curve.raw_bytes / most:.2f} to {curve.raw_bytes / max(least, 1):.2f}, by preset {curve.preset}."
    )
    if (known := curve.points[-1].records) * (TRIED_TIMES - 1) < more:
        yield f"That is far from {known:,} records: up to {TRIED_TIMES} times as many such a range was tried."
    if curve.built_in_bytes < most and curve.preset == COUNTS_ONLY:
        yield (
            "The built-in version makes fewer bytes of them already; beside it, more records bring less than that. "
            "--preset builtin measures it, in minutes."
        )
