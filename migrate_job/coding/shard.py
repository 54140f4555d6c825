"""One shard: read, encode, decode again, compare, write. It counts only when all of it is on disk."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from cluster.sources import BadRecord, check_unchanged
from migrate_job.coding.codec import load_codec
from migrate_job.coding.records import Row, migrate_records
from migrate_job.coding.watchdog import watchdog
from migrate_job.layout import dead_name, done_name
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import Selection, selection_of
from migrate_job.report.details import details
from nbmf.engine import configure

Outcomes: TypeAlias = Callable[[Plan, int, Selection], Iterator[Row | BadRecord]]


def coded_here(plan: Plan, index: int, selection: Selection) -> Iterator[Row | BadRecord]:
    """What becomes of the shard's records. This process ends when one of them takes too long."""
    configure(plan.options.engine.name, plan.options.engine.threads)
    codec = load_codec(plan.registry, plan.version)
    with watchdog() as allow:
        yield from migrate_records(selection.of(plan.source.read(plan.shards[index])), codec, plan, allow)


def migrate_shard(plan: Plan, index: int, outcomes: Outcomes = coded_here) -> dict[str, Any]:
    """Migrates shard `index` and returns its counts. Running it again writes the same files again.

    `outcomes` reads and codes its records. Raises SourceChanged, and writes nothing, if a file of the shard changed
    since the plan was made.
    """
    begin = time.perf_counter()
    rows: list[dict[str, Any]] = []
    dead: list[BadRecord] = []
    selection = selection_of(plan, index)
    check_unchanged(plan.shards[index])
    for outcome in outcomes(plan, index, selection):
        if isinstance(outcome, BadRecord):
            dead.append(outcome)
        else:
            rows.append(outcome)
    check_unchanged(plan.shards[index])
    refused = plan.target.write(plan.destination, index, rows)
    if refused:
        places = {letter.place for letter in refused}
        rows = [row for row in rows if row["place"] not in places]
        dead += refused
    counts = {
        "records": len(rows) + len(dead) + selection.skipped.total(),
        "migrated": len(rows),
        "verified": sum(row["verified"] for row in rows),
        "previews": sum(row["preview"] for row in rows),
        "dead": len(dead),
        "dead_reasons": Counter(letter.reason for letter in dead),
        "skipped": selection.skipped.total(),
        "skipped_reasons": selection.skipped,
        "source_bytes": sum(row["source_bytes"] for row in rows),
        "payload_bytes": sum(row["payload_bytes"] for row in rows),
        "blob_bytes": sum(len(row["blob"]) for row in rows),
        **details(rows),
        "seconds": round(time.perf_counter() - begin, 3),
    }
    if dead:
        letters = "".join(json.dumps(_letter(letter), ensure_ascii=True) + "\n" for letter in dead)
        plan.destination.write(dead_name(index), lambda path: path.write_text(letters))
    plan.destination.write(done_name(index), lambda path: path.write_text(json.dumps(counts)))
    return counts


def _letter(bad: BadRecord) -> dict[str, Any]:
    return {
        "key": bad.key,
        "place": bad.place,
        "reason": bad.reason,
        "detail": bad.detail,
        "source_bytes": bad.source_bytes,
    }
