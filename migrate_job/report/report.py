"""What a migration did: totals over its shards."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.sources.unread import Unread
from migrate_job.report.details import (
    NOTHING_CHANGED,
    Notable,
    Semantic,
    Totals,
    add_semantic,
    add_totals,
    fold,
    largest,
    worst_ratio,
)


@dataclass(slots=True)
class Report:
    """Totals of a migration; `records` = `migrated` + `dead` + `skipped`, and `previews` are among the migrated.

    `verified` blobs were decoded and compared. `ratios` counts records by the lower end of a range of ratios. `seconds`
    are those that its shards took, summed; loading the version is not among them. `latency_budget_ms` is None for an
    effort that has none. `unread` is what of the source was not read. `undetailed` records were migrated by an nbmf
    that did not count classes, coders and seconds. `semantic` is of the records of which fidelity semantic changed
    vectors.
    """

    version: str
    effort: str = "auto"
    latency_budget_ms: float | None = None
    records: int = 0
    migrated: int = 0
    verified: int = 0
    previews: int = 0
    dead: int = 0
    dead_reasons: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    skipped_reasons: dict[str, int] = field(default_factory=dict)
    source_bytes: int = 0
    payload_bytes: int = 0
    blob_bytes: int = 0
    classes: Totals = field(default_factory=dict)
    coders: Totals = field(default_factory=dict)
    ratios: dict[str, int] = field(default_factory=dict)
    semantic: Semantic = field(default_factory=lambda: dict(NOTHING_CHANGED))
    largest: list[Notable] = field(default_factory=list)
    worst_ratio: list[Notable] = field(default_factory=list)
    undetailed: int = 0
    unread: Unread = field(default_factory=Unread)
    seconds: float = field(default=0.0, compare=False)

    def add(self, counts: dict[str, Any]) -> None:
        """Adds a shard's counts, of an older nbmf's done-file too."""
        for name, value in counts.items():
            match name:
                case "classes" | "coders":
                    add_totals(getattr(self, name), value)
                    fold(getattr(self, name))
                case "dead_reasons" | "skipped_reasons" | "ratios":
                    totals: dict[str, int] = getattr(self, name)
                    for reason, count in value.items():
                        totals[reason] = totals.get(reason, 0) + count
                case "semantic":
                    self.semantic = add_semantic(self.semantic, value)
                case "largest":
                    self.largest = largest([*self.largest, *value])
                case "worst_ratio":
                    self.worst_ratio = worst_ratio([*self.worst_ratio, *value])
                case _:
                    setattr(self, name, getattr(self, name) + value)
        if "classes" not in counts:
            self.undetailed += counts["migrated"]
        if "verified" not in counts:  # nothing was left unverified then
            self.verified += counts["migrated"]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the fields, with a `ratio` (payload bytes / blob bytes) wherever there are both."""
        fields = asdict(self)
        fields["not_read"] = self.unread.to_dict()
        del fields["unread"]
        fields["ratio"] = ratio(fields)
        semantic = fields["semantic"]
        cosine_sum = semantic.pop("cosine_sum")
        semantic["cosine_mean"] = cosine_sum / semantic["vectors"] if semantic["vectors"] else None
        for sized in (*fields["classes"].values(), *fields["coders"].values()):
            sized["ratio"] = ratio(sized)
        for sized in (*fields["largest"], *fields["worst_ratio"]):
            sized["ratio"] = ratio(sized)
        return fields


def ratio(sized: dict[str, Any]) -> float | None:
    """Payload bytes / blob bytes; None where there are no blobs."""
    return sized["payload_bytes"] / sized["blob_bytes"] if sized["blob_bytes"] else None
