"""Keys of objects in another order, the same for all objects of a record."""

from __future__ import annotations

from typing import Any

from train_app.augment.chance import Chance

_PLACES = 1 << 32


def reordered(record: Any, chance: Chance) -> Any:
    """The record with each object's keys in the order of a rank that each name is given; None where none moves."""
    ranks: dict[str, int] = {}
    moved = False

    def rank(name: str) -> int:
        if name not in ranks:
            ranks[name] = chance.below(_PLACES)
        return ranks[name]

    def walk(value: Any) -> Any:
        nonlocal moved
        if type(value) is list:
            return [walk(one) for one in value]
        if type(value) is not dict:
            return value
        names = sorted(value, key=rank)
        moved |= names != list(value)
        return {name: walk(value[name]) for name in names}

    found = walk(record)
    return found if moved else None
