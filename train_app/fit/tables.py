"""Results of `nbmf evaluate` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from nbmf.printable import printable
from train_app.fit.verdicts import Fit, Verdict

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
