"""The line of rates beside the bar."""

import io

from rich.console import Console
from rich.progress import TextColumn, TimeRemainingColumn

from cluster import progress
from migrate_job.report.rates import Rates


def counts(records, dead, payload_bytes, blob_bytes):
    return {"records": records, "dead": dead, "payload_bytes": payload_bytes, "blob_bytes": blob_bytes, "classes": {}}


def test_rates_are_of_all_shards_so_far():
    now = [100.0]
    rates = Rates(clock=lambda: now[0])
    assert str(rates) == ""
    now[0] += 2
    rates.add(counts(3000, 1, 4_000_000, 1_000_000))
    assert str(rates) == "1,500 records/s, 2.00 MB/s, ratio 4.00, 1 failed"
    now[0] += 2
    rates.add(counts(1000, 2, 2_000_000, 1_000_000))
    assert str(rates) == "1,000 records/s, 1.50 MB/s, ratio 3.00, 3 failed"


def test_without_blobs_there_is_no_ratio():
    now = iter((0.0, 1.0))
    rates = Rates(clock=lambda: next(now))
    rates.add(counts(5, 5, 0, 0))
    assert str(rates) == "5 records/s, 0.00 MB/s, 5 failed"


def test_more_columns_are_shown(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=out, force_terminal=True, width=160))
    with progress.progress("shards", TimeRemainingColumn(), TextColumn("{task.fields[rates]}")) as bars:
        task = bars.add_task("migrating", total=4, rates="")
        bars.update(task, advance=1, rates="7 records/s")
        bars.refresh()
    assert "7 records/s" in out.getvalue()
