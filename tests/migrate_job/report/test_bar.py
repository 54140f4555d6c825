"""The progress line: what is important is there at any width, and none of it is cut."""

import io

import pytest
from rich.console import Console

from migrate_job.report.bar import Bar
from migrate_job.report.rates import Rates


def line(width, shards=1234):
    out = io.StringIO()
    now = iter(range(0, 100_000, 10))
    bar = Bar(Console(file=out, force_terminal=True, width=width, color_system=None), Rates(lambda: float(next(now))))
    with bar:
        bar.on_plan(shards, 7)
        bar.on_shard({"records": 2000, "dead": 1, "payload_bytes": 50_000_000, "blob_bytes": 10_000_000})
        bar._progress.refresh()
        shown = bar._progress.get_renderable()
        text = Console(file=io.StringIO(), width=width)
        with text.capture() as captured:
            text.print(shown)
    return captured.get()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 250])
def test_nothing_is_cut(width):
    shown = line(width)
    assert "…" not in shown
    assert len(shown.rstrip("\n").splitlines()) == 1
    assert "8/1234" in shown
    assert "left " in shown
    assert "1 failed" in shown
    if width >= 80:
        assert "rec/s" in shown or "records/s" in shown
        assert "ratio 5.00" in shown


def test_more_is_said_where_there_is_room():
    assert "MB/s" in line(160)
    assert "migrating" in line(160)


def test_what_is_said_when_it_is_stopped():
    bar = Bar(Console(file=io.StringIO()))
    assert "listed" in bar.so_far()
    bar.on_plan(9, 2)
    bar.on_shard({"records": 2000, "dead": 1, "payload_bytes": 5, "blob_bytes": 1})
    assert bar.so_far() == "3 of 9 parts of the source are done, 2,000 records by this run."
