"""Draws that a key decides: the same in every process, on every machine and Python."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Draws of one key, one after the other."""

    def __init__(self, *key: int | str | bytes) -> None:
        seed = blake2b(repr(key).encode(), digest_size=16).digest()
        # Of `random`, seeding with an int and `random()` alone are promised to stay as they are.
        self._random = random.Random(int.from_bytes(seed, "big"))  # noqa: S311 - no secret

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1."""
        return int(self._random.random() * count)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, of which there must be some."""
        return items[self.below(len(items))]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """All of them, in another order."""
        return [item for _, item in sorted(((self._random.random(), item) for item in items), key=lambda one: one[0])]
