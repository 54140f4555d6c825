"""Names, ids and dates of a record replaced by others of the record set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from train_app.augment.chance import Chance
from train_app.augment.found_values import (
    BEGIN,
    END,
    days_between,
    days_of,
    id_of,
    ids_of,
    is_rare_word,
    may_be_name,
    moved,
    with_days,
)
from train_app.augment.records import leaves, with_leaves
from train_app.augment.values import Values

_TRIES = 8


def substituted(record: Any, chance: Chance, values: Values) -> Any:
    """The record with other values; None where none of it can be replaced.

    Equal values become equal ones, different values different ones, wherever they stand; an id, or a name that is no
    plain word, is replaced within text as well. Days all move by as many days, so that what follows what stays.
    """
    names, ids = dict(_names_in(record, values)), dict(_ids_in(record, values))
    new = _drawn(ids | names, chance)
    new_names = {old: new[old] for old in names if old in new}
    inside = {old: put for old, put in new.items() if old in ids or is_rare_word(old)}
    days = _moved_days(record, chance, values.days)
    if not new and not days:
        return None
    return with_leaves(record, _Change(values, new_names, inside, days))


def _names_in(record: Any, values: Values) -> Iterator[tuple[str, list[str]]]:
    """(name, what it may become) of each at a key path of names."""
    for path, leaf in leaves(record):
        if type(leaf) is str and path in values.names and may_be_name(leaf):
            yield leaf, values.names[path]


def _ids_in(record: Any, values: Values) -> Iterator[tuple[str, list[str]]]:
    for shape, found in ids_of(record):
        if shape in values.ids:
            yield found, values.ids[shape]


def _drawn(others: Mapping[str, list[str]], chance: Chance) -> dict[str, str]:
    """What becomes of each; not of one for which only values were drawn that are taken, or in the record."""
    new: dict[str, str] = {}
    taken = set(others)
    for old, candidates in others.items():
        tried = [chance.pick(candidates) for _ in range(_TRIES)]
        if free := [value for value in tried if value not in taken]:
            new[old] = free[0]
            taken.add(free[0])
    return new


def _moved_days(record: Any, chance: Chance, others: list[str]) -> dict[str, str]:
    """The first becomes one of the others, and the rest stays as far from it."""
    days = list(dict.fromkeys(days_of(record)))
    if not days or not others:
        return {}
    by = days_between(days[0], chance.pick(others))
    return {day: later for day in days if by and (later := moved(day, by))}


class _Change:
    """A leaf's new value: of a name at a path of names all of it, of other strings what is inside."""

    def __init__(self, values: Values, names: dict[str, str], inside: dict[str, str], days: dict[str, str]) -> None:
        self._values, self._names, self._inside, self._days = values, names, inside, days
        longest_first = sorted(inside, key=lambda old: (-len(old), old))
        old = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(f"{BEGIN}(?:{old}){END}") if old else None

    def __call__(self, path: str, leaf: Any) -> Any:
        if type(leaf) is int:
            return self._number(leaf)
        if type(leaf) is not str:
            return leaf
        if path in self._values.names and leaf in self._names:
            return self._names[leaf]
        text = with_days(leaf, self._days)
        return self._pattern.sub(lambda found: self._inside[found.group()], text) if self._pattern else text

    def _number(self, leaf: int) -> int:
        found = id_of(leaf)
        put = self._inside.get(found[1], "0") if found else "0"
        return leaf if put.startswith("0") else int(put)
