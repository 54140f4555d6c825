"""Batches: records that are coded together, of which one at fault spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH_RECORDS = 256
BATCH_BYTES = 1024 * 1024
"""Payload bytes of a batch; a larger record is a batch of its own."""


def bounded(
    items: Iterable[T],
    size_bytes: Callable[[T], int],
    max_items: int | None = BATCH_RECORDS,
    max_bytes: int = BATCH_BYTES,
) -> Iterator[list[T]]:
    """The items in their order, in lists of at most so many (None: of any number) that have at most so many bytes
    together; one that alone has more is a list of its own. None is empty."""
    batch: list[T] = []
    held_bytes = 0
    for item in items:
        item_bytes = size_bytes(item)
        if batch and (len(batch) == max_items or held_bytes + item_bytes > max_bytes):
            yield batch
            batch, held_bytes = [], 0
        batch.append(item)
        held_bytes += item_bytes
    if batch:
        yield batch


def attempt_all(
    work: Callable[[list[T]], Sequence[R]],
    items: list[T],
    failed: Callable[[T, Exception], R],
    fatal: tuple[type[Exception], ...] = (),
) -> list[R]:
    """`work` of all items in one call; if that raises, of one after the other, so that a fault is one item's only.

    For an item at which `work` raises, `failed` gives the result, or raises. Errors of a class in `fatal` are no
    item's: they are raised at once.
    """
    try:
        return list(work(items)) if items else []
    except fatal:
        raise
    except Exception as error:
        if len(items) > 1:
            return [attempt_all(work, [item], failed, fatal)[0] for item in items]
        return [failed(items[0], error)]
