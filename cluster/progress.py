"""Progress for people: a bar on a terminal, nothing in a log or pipe."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

console = Console(stderr=True, emoji=False)
"""Messages go to standard error: standard output is for results and blobs."""


def results() -> Console:
    """Standard output, for tables. Names of tables, classes and files come out as they are, `:notes:` and `[b]` too."""
    return Console(emoji=False, markup=False)


_SPEED_PERIOD_S = 600
"""Time left is told from the steps of this long: one step, as a shard, may take longer than rich's 30 s."""


def progress(unit: str = "", *columns: ProgressColumn) -> Progress:
    """A progress display, with more columns at its end; tasks without a total show a count and a spinner."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        *columns,
        speed_estimate_period=_SPEED_PERIOD_S,
        console=console,
        transient=True,
    )
