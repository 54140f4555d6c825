"""A legacy store with damage, migrated, and every record of it looked at: is each where it belongs, and equal?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.machine import facts
from bench.migration.records import class_of, key_of, payload_of
from bench.migration.stores import MAX_RECORD_BYTES, damage_of, fingerprints, write_legacy
from cluster.registry import Registry
from cluster.sources import LegacyStore
from nbmf import Codec, store
from nbmf.effort import Effort, EffortSetting
from nbmf.errors import NbmfError
from nbmf.payload import to_canonical
from nbmf.store.layout import DEAD_LETTERS
from nbmf.store.record_file import file_name as record_file_name

_BATCH = 256
SHOWN = 20
"""Problems that a report names; it counts them all."""

Advance = Callable[[str, int, int], None]
"""Told a step's name, how much of it is done, and how much there is."""


def run(
    folder: Path,
    records: int,
    damaged: float,
    registry: Registry,
    version: str,
    effort: Effort,
    advance: Advance = lambda _step, _done, _total: None,
) -> dict[str, Any]:
    """Builds the store in `folder`, migrates it beside, and checks; needs a Ray session."""
    from migrate_job import job
    from migrate_job.plan.options import Options

    old, new = folder / "old", folder / "new"
    written = iter(range(1, records + 1))
    write_legacy(old, records, damaged, lambda: advance("writing the store", next(written), records))
    reasons = damage_of(records, damaged)
    before = fingerprints(old, iter(range(records)))
    begin = perf_counter()
    report = job.run(
        LegacyStore(old, MAX_RECORD_BYTES),
        new,
        registry.location,
        version,
        Options(effort=EffortSetting(effort)),
        on_shard=lambda _: advance("migrating", _count(new / "_done"), -(-records // 500)),
    )
    seconds = perf_counter() - begin
    problems: list[str] = []
    good = _check_store(new, records, reasons, registry.load(version), problems, advance)
    dead = _check_letters(new / DEAD_LETTERS, reasons, problems)
    after = fingerprints(old, iter(range(records)))
    problems += [f"{key_of(number)}: changed at its source" for number in before if before[number] != after[number]]
    counts = {"records": records, "migrated": records - len(reasons), "dead": len(reasons)}
    for name, expected in counts.items():
        if getattr(report, name) != expected:
            problems.append(f"the report counts {getattr(report, name)} {name}, not {expected}")
    if (good, dead) != (counts["migrated"], counts["dead"]):
        problems.append(f"{good} records and {dead} dead letters found")
    return {
        "codec": version,
        "effort": effort,
        "records": records,
        "damaged": len(reasons),
        "equal_at_the_destination": good,
        "dead_letters_with_the_right_reason": dead,
        "dead_reasons": report.dead_reasons,
        "untouched_at_the_source": sum(before[number] == after[number] for number in before),
        "payload_bytes": report.payload_bytes,
        "blob_bytes": report.blob_bytes,
        "seconds": round(seconds, 1),
        "problems": len(problems),
        "first_problems": problems[:SHOWN],
        "machine": facts(),
    }


def _check_store(
    new: Path, records: int, reasons: dict[int, str], codec: Codec, problems: list[str], advance: Advance
) -> int:
    """How many records are there, once, and equal to what the generator makes; all others are problems."""
    numbers = (number for number in range(records) if number not in reasons)
    equal = 0
    for batch in _batches(store.iterate(new)):
        payloads = codec.decode_batch([record.blob for record in batch])
        for record, payload in zip(batch, payloads, strict=True):
            number = next(numbers, -1)
            # Keys are in order, so one that is lost, doubled or strange shows at once. `/` is `_` in file names.
            if record.key != key_of(number).replace("/", "_") or record.record_class != class_of(number):
                problems.append(f"{record.key} of class {record.record_class} is not {key_of(number)}")
            elif isinstance(payload, NbmfError) or to_canonical(payload) != to_canonical(payload_of(number)):
                problems.append(f"{record.key}: not equal")
            elif record.meta != {"number": number}:
                problems.append(f"{record.key}: another meta")
            else:
                equal += 1
        advance("comparing", equal, records - len(reasons))
    problems += [f"{key_of(number)}: lost" for number in numbers]
    return equal


def _check_letters(path: Path, reasons: dict[int, str], problems: list[str]) -> int:
    """How many damaged records are there, once, with the right reason."""
    expected = {record_file_name(key_of(n), class_of(n)): reason for n, reason in reasons.items()}
    right = 0
    with path.open(encoding="utf-8") as lines:
        for letter in map(json.loads, lines):
            name = Path(letter["place"]).name
            reason = expected.pop(name, None)
            # With a key at hand, what another one sealed is told by that.
            if letter["reason"] == reason or (reason, letter["reason"]) == ("encrypted", "wrong_key"):
                right += 1
            else:
                problems.append(f"{name}: a dead letter of reason {letter['reason']}, not {reason}")
    problems += [f"{name}: no dead letter" for name in expected]
    return right


def _batches(rows: Iterator[store.StoredRecord]) -> Iterator[list[store.StoredRecord]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())
