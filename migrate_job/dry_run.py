"""What a migration would do, estimated from a sample: nothing is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.sources import BadRecord, Item, check_unchanged
from cluster.sources.unread import Unread
from migrate_job.coding.records import Row, migrate_records
from migrate_job.plan.plan import Plan
from migrate_job.plan.selection import selection_of
from nbmf import Codec

SAMPLE_RECORDS = 500
_SAMPLE_SHARDS = 25
_REPLICATES = 2000
_SEED = 1
_QUANTITIES = ("records", "source_bytes", "payload_bytes", "blob_bytes", "core_seconds")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A total and its 95 % confidence range, by bootstrap. `counted`: nothing had to be estimated."""

    value: float
    low: float
    high: float
    counted: bool

    def times(self, factor: float) -> Estimate:
        """In another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.counted)


@dataclass(frozen=True, slots=True)
class DryRun:
    """Estimates for all of the source that is wanted, and what was seen in the sample itself.

    `core_hours` are of one core reading, encoding and decoding; `wall_seconds` on `cpus` cores, start not included.
    `not_read` is as in a report.
    """

    version: str
    effort: str
    latency_budget_ms: float | None
    shards: int
    sampled_shards: int
    sampled_records: int
    sampled_failures: dict[str, int]
    cpus: int
    records: Estimate
    source_bytes: Estimate
    payload_bytes: Estimate
    blob_bytes: Estimate
    ratio: Estimate
    core_hours: Estimate
    wall_seconds: Estimate
    not_read: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _ShardSample:
    """One shard: its records, their bytes in the source, and its own bytes, filtered records among them.

    `values` has a row a sampled record: the last four quantities, and its bytes in the source even if it failed.
    """

    records: int
    read_bytes: int
    size_bytes: int
    values: NDArray[np.float64]


def dry_run(
    plan: Plan,
    codec: Codec,
    cpus: int,
    sample_records: int = SAMPLE_RECORDS,
    on_shard: Callable[[int, int], None] = lambda _done, _shards: None,
    clock: Callable[[], float] = time.process_time,
) -> DryRun:
    """Codes about `sample_records` records of at most 25 shards, both evenly spaced: the same ones every time.

    Two records a shard at least, for a range takes two. `clock` gives seconds of processor time. `on_shard` is told
    shards done and to do. Raises SourceChanged if a file that was read is written to meanwhile.
    """
    shards = min(_SAMPLE_SHARDS, max(1, sample_records // 2))
    wanted_shards = [index for index in range(len(plan.shards)) if plan.cut is None or index <= plan.cut[0]]
    chosen = [wanted_shards[at] for at in evenly_spaced(len(wanted_shards), shards)]
    counted = [_count(index, plan, clock) for index in chosen]
    wanted = _positions([records for records, _, _ in counted], sample_records)
    failures: Counter[str] = Counter()
    samples: list[_ShardSample] = []
    for index, (records, read_bytes, reading_s), positions in zip(chosen, counted, wanted, strict=True):
        values = _code(index, positions, plan, codec, failures, clock)
        values[:, 3] += reading_s / max(1, records)
        samples.append(_ShardSample(records, read_bytes, plan.shards[index].size_bytes, values))
        on_shard(len(samples), len(chosen))
    totals = _bootstrap(samples, sum(plan.shards[index].size_bytes for index in wanted_shards), len(wanted_shards))
    every_shard = len(samples) == len(wanted_shards)
    every_record = every_shard and all(len(sample.values) == sample.records for sample in samples)
    exact = {"records": every_shard, "core_seconds": False}
    estimates = {name: _estimate(totals[:, at], exact.get(name, every_record)) for at, name in enumerate(_QUANTITIES)}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(totals[:, 2] / totals[:, 3])
    used = max(1, min(cpus, len(wanted_shards) * plan.options.engine.threads))
    return DryRun(
        version=plan.version,
        effort=plan.options.effort.name,
        latency_budget_ms=plan.options.effort.budget_ms,
        shards=len(wanted_shards),
        sampled_shards=len(samples),
        sampled_records=sum(len(sample.values) for sample in samples),
        sampled_failures=dict(sorted(failures.items())),
        cpus=cpus,
        records=estimates["records"],
        source_bytes=estimates["source_bytes"],
        payload_bytes=estimates["payload_bytes"],
        blob_bytes=estimates["blob_bytes"],
        ratio=_estimate(ratio, every_record),
        core_hours=estimates["core_seconds"].times(1 / 3600),
        wall_seconds=estimates["core_seconds"].times(1 / used),
        not_read=Unread.of(plan.source).to_dict(),
    )


def evenly_spaced(total: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers 0 to `total` - 1, one in each of so many equal parts of them.

    Where in its part is drawn, with a fixed seed: every third record would miss what comes with every third.
    """
    wanted = min(total, wanted)
    if not wanted:
        return []
    edges = np.arange(wanted + 1) * total // wanted
    drawn: list[int] = np.random.default_rng(_SEED).integers(edges[:-1], edges[1:]).tolist()
    return drawn


def _positions(counts: list[int], wanted: int) -> list[list[int]]:
    """Positions in each shard: evenly spaced over all that was counted, but at least two a shard."""
    everywhere = evenly_spaced(sum(counts), wanted)
    found, first = [], 0
    for records in counts:
        inside = [at - first for at in everywhere if first <= at < first + records]
        found.append(inside if len(inside) >= 2 else evenly_spaced(records, 2))
        first += records
    return found


def _count(index: int, plan: Plan, clock: Callable[[], float]) -> tuple[int, int, float]:
    """How many records of a shard are wanted, their bytes in the source, and seconds to read them."""
    begin = clock()
    records = read_bytes = 0
    for item in selection_of(plan, index).of(plan.source.read(plan.shards[index])):
        records += 1
        read_bytes += item.source_bytes
    check_unchanged(plan.shards[index])
    return records, read_bytes, clock() - begin


def _code(
    index: int, positions: list[int], plan: Plan, codec: Codec, failures: Counter[str], clock: Callable[[], float]
) -> NDArray[np.float64]:
    """A row a record, as in _ShardSample; the shard is read again, so that only these records are held."""
    wanted = set(positions)
    selected = selection_of(plan, index).of(plan.source.read(plan.shards[index]))
    items: list[Item] = [item for at, item in enumerate(selected) if at in wanted]
    check_unchanged(plan.shards[index])
    begin = clock()
    outcomes = list(migrate_records(items, codec, plan))
    coding_s = clock() - begin
    failures.update(outcome.reason for outcome in outcomes if isinstance(outcome, BadRecord))
    rows = [(*_sizes(outcome), 0, item.source_bytes) for outcome, item in zip(outcomes, items, strict=True)]
    values = np.array(rows, np.float64).reshape(-1, 5)
    # A batch is timed as a whole; a record's part of that is as its payload's.
    payload_bytes = values[:, 1]
    values[:, 3] = coding_s * (payload_bytes / payload_bytes.sum() if payload_bytes.any() else 1 / max(1, len(values)))
    return values


def _sizes(outcome: Row | BadRecord) -> tuple[int, int, int]:
    """Source, payload and blob bytes as a report counts them."""
    if isinstance(outcome, BadRecord):
        return 0, 0, 0
    return outcome["source_bytes"], outcome["payload_bytes"], len(outcome["blob"])


def _bootstrap(samples: list[_ShardSample], source_bytes: int, shards: int) -> NDArray[np.float64]:
    """Totals of each quantity: the estimate first, then a row a replicate.

    Records are drawn within each shard, unless all of them were sampled; shards are drawn too, unless all were.
    What is known of every record that was read, its bytes in the source, is made use of (a ratio estimator): else
    one long record more or less in the sample would shift everything.
    """
    if not samples:
        return np.zeros((1, len(_QUANTITIES)))
    rng = np.random.default_rng(_SEED)
    counts = np.array([sample.records for sample in samples], np.float64)
    sizes = np.array([sample.size_bytes for sample in samples], np.float64)
    means = np.zeros((_REPLICATES + 1, len(samples), len(_QUANTITIES) + 1))
    means[:, :, 0] = 1
    for at, sample in enumerate(samples):
        taken = len(sample.values)
        if not taken:
            continue
        means[:, at, 1:] = sample.values.mean(axis=0)
        if taken < sample.records:
            drawn = rng.integers(taken, size=(_REPLICATES, taken))
            means[1:, at, 1:] = sample.values[drawn].mean(axis=1)
    drawn_shards = np.tile(np.arange(len(samples)), (_REPLICATES + 1, 1))
    if len(samples) < shards:
        drawn_shards[1:] = rng.integers(len(samples), size=(_REPLICATES, len(samples)))
    replicates = np.arange(_REPLICATES + 1)[:, None]
    read_bytes = np.array([sample.read_bytes for sample in samples], np.float64)[drawn_shards].sum(axis=1)
    sums: NDArray[np.float64] = (counts[:, None] * means)[replicates, drawn_shards].sum(axis=1)
    expected_bytes = sums[:, -1]  # of the same records, from the sample alone
    ratio = np.divide(read_bytes, expected_bytes, out=np.ones_like(read_bytes), where=expected_bytes > 0)
    sums = np.concatenate([sums[:, :1], sums[:, 1:-1] * ratio[:, None]], axis=1)
    # A shard stands for the others in proportion to its bytes, which are known for all of them.
    scale: NDArray[np.float64] = source_bytes / np.maximum(sizes[drawn_shards].sum(axis=1), 1)
    return sums * (scale[:, None] if len(samples) < shards else 1)


def _estimate(totals: NDArray[np.float64], counted: bool) -> Estimate:
    low, high = np.percentile(totals[1:] if len(totals) > 1 else totals, (2.5, 97.5))
    return Estimate(float(totals[0]), float(low), float(high), counted)
