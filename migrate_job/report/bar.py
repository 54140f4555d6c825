"""A run's progress in a line: how far, how fast, how well; as much of it as the terminal has room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as RichTimeRemaining
from rich.text import Text

from cluster import progress
from migrate_job.report.rates import Rates

_SPEED_PERIOD_S = 600
_WIDE = 120
"""Columns of a terminal from which on the line has a long bar, and words that a narrow one does without."""

_BESIDES_RATES = {True: 76, False: 36}
"""Columns that the rest of the line takes."""


class Bar:
    """The line, while a run is at work; told by the run what is done. Rates are of this run alone."""

    def __init__(self, console: Console | None = None, rates: Rates | None = None) -> None:
        self._console = console or progress.console
        self._rates = rates or Rates()
        self._shards = self._done = 0
        wide = self._console.width >= _WIDE
        room = self._console.width - _BESIDES_RATES[wide]
        words = [TextColumn("migrating")], [TextColumn("shards")]
        before, after = words if wide else ([], [])
        self._progress = Progress(
            SpinnerColumn(),
            *before,
            BarColumn(bar_width=30 if wide else 8),
            MofNCompleteColumn(),
            *after,
            _TimeLeft(),
            _RatesColumn(lambda: self._rates.within(room)),
            speed_estimate_period=_SPEED_PERIOD_S,
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Takes the line away."""
        self._progress.stop()

    def on_plan(self, shards: int, done: int) -> None:
        """How many shards there are, and were done before."""
        self._shards, self._done = shards, done
        self._progress.update(self._task, total=shards, completed=done)

    def on_shard(self, counts: dict[str, Any]) -> None:
        """A shard is done."""
        self._done += 1
        self._rates.add(counts)
        self._progress.update(self._task, advance=1)

    def so_far(self) -> str:
        """A sentence."""
        if not self._shards:
            return "the source was still being listed."
        records = f"{self._rates.records:,} records by this run"
        return f"{self._done:,} of {self._shards:,} parts of the source are done, {records}."


class _TimeLeft(RichTimeRemaining):
    def render(self, task: Task) -> Text:
        return Text("left ", style="progress.remaining") + super().render(task)


class _RatesColumn(ProgressColumn):
    max_refresh = 0.2

    def __init__(self, rates: Callable[[], str]) -> None:
        super().__init__()
        self._rates = rates

    def render(self, task: Task) -> Text:
        return Text(self._rates(), no_wrap=True)
