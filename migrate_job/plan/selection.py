"""Which records of a source are migrated: of which classes, and how many. The others are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cluster.sources import BadRecord, Item

if TYPE_CHECKING:
    from migrate_job.plan.plan import Plan

CLASS = "other_class"
LIMIT = "over_limit"


class Selection:
    """Passes on the records of a shard that are wanted; `skipped` counts the others by reason.

    A record that cannot be read has no class: it is passed on, and becomes a dead letter. `quota` is how many
    are passed on at most.
    """

    def __init__(self, classes: tuple[str, ...], quota: int | None) -> None:
        self.skipped: Counter[str] = Counter()
        self._classes = frozenset(classes)
        self._left = quota

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those that are wanted; to be read to its end, for the counts."""
        for item in items:
            if self._classes and not isinstance(item, BadRecord) and item.record_class not in self._classes:
                self.skipped[CLASS] += 1
            elif self.take():
                yield item

    def take(self) -> bool:
        """Whether one more is wanted. One that is not is counted."""
        if self._left == 0:
            self.skipped[LIMIT] += 1
            return False
        if self._left is not None:
            self._left -= 1
        return True


def selection_of(plan: Plan, index: int) -> Selection:
    """The selection for shard `index`."""
    if plan.cut is None:
        return Selection(plan.options.classes, None)
    shard, records = plan.cut
    return Selection(plan.options.classes, None if index < shard else records if index == shard else 0)


def find_cut(plan: Plan) -> tuple[int, int] | None:
    """Where the plan's limit is reached: the shard, and how many records of it are wanted. None without a limit.

    Reads the source up to there, so that shards can be migrated in any order.
    """
    if plan.options.limit is None:
        return None
    left = plan.options.limit
    for index in range(len(plan.shards)):
        wanted = 0
        for _ in Selection(plan.options.classes, None).of(plan.source.read(plan.shards[index])):
            wanted += 1
            if wanted == left:
                return index, wanted
        left -= wanted
    return len(plan.shards), 0
