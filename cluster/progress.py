"""Progress for people: a bar on a terminal, nothing in a log or pipe."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

console = Console(stderr=True)
"""Messages go to standard error: standard output is for results and blobs."""


def progress(unit: str = "") -> Progress:
    """A progress display; tasks without a total show a count and a spinner."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
