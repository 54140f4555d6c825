"""Values of a set of records, to put in place of others: names by class and key path, ids by shape, days by class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from train_app.augment.found_values import days_of, ids_of, may_be_name
from train_app.augment.records import leaves, record_of
from train_app.samples.sample import Sample

FEWEST = 8
"""Different values of a kind that are needed, so that one of them says nothing."""

_MOST = 256
"""Values of a kind that are drawn from: of the records with the smallest digests, whatever order they come in."""
_NAMES_SHARE, _DIFFERENT_SHARE = 0.9, 0.25
"""Of the values at a key path of names: that may be names, and that differ. Types and states differ little."""

_Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Values:
    """What may take the place of what, in records of a class."""

    names: Mapping[str, list[str]] = field(default_factory=dict)
    """By key path, of paths that have names."""
    ids: Mapping[str, list[str]] = field(default_factory=dict)
    """By shape, of all classes."""
    days: list[str] = field(default_factory=list)


class AllValues:
    """Those of records as they are added; then by class."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._names: defaultdict[_Key, _Drawn] = defaultdict(_Drawn)
        self._ids: defaultdict[str, _Drawn] = defaultdict(_Drawn)
        self._days: defaultdict[str, _Drawn] = defaultdict(_Drawn)
        self._made: tuple[dict[str, Values], Values] | None = None
        for sample in samples:
            self.add(sample)

    def add(self, sample: Sample) -> None:
        """A record's values."""
        self._made = None
        record = record_of(sample)
        if record is None:
            return
        if type(record) is not str:
            for path, leaf in {(path, leaf) for path, leaf in leaves(record) if type(leaf) is str}:
                self._names[sample.group, path].add(sample.digest, leaf if may_be_name(leaf) else "")
        for shape, found in set(ids_of(record)):
            self._ids[shape].add(sample.digest, found)
        for day in set(days_of(record)):
            self._days[sample.group].add(sample.digest, day)

    def of(self, group: str) -> Values:
        """For records of this class."""
        if self._made is None:
            self._made = self._by_class()
        by_class, of_others = self._made
        return by_class.get(group, of_others)

    def _by_class(self) -> tuple[dict[str, Values], Values]:
        """Of classes that have names or days, and of the others."""
        ids = {shape: values for shape, drawn in self._ids.items() if (values := drawn.different())}
        names: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
        for (group, path), drawn in self._names.items():
            if values := drawn.names():
                names[group][path] = values
        days = {group: drawn.different() for group, drawn in self._days.items()}
        by_class = {group: Values(names[group], ids, days.get(group, [])) for group in {*names, *days}}
        return by_class, Values(ids=ids)


class _Drawn:
    """Values of the records with the smallest digests; an empty one is no name."""

    def __init__(self) -> None:
        self._values: list[tuple[bytes, str]] = []

    def add(self, digest: bytes, value: str) -> None:
        self._values.append((digest, value))
        if len(self._values) > 2 * _MOST:
            self._values = sorted(self._values)[:_MOST]

    def different(self) -> list[str]:
        """In order; none where there are too few."""
        found = sorted({value for _, value in sorted(self._values)[:_MOST] if value})
        return found if len(found) >= FEWEST else []

    def names(self) -> list[str]:
        """The same of a key path, none where it is not one of names."""
        values = [value for _, value in sorted(self._values)[:_MOST]]
        named, different = sum(map(bool, values)), self.different()
        enough = named >= _NAMES_SHARE * len(values) and len(different) >= _DIFFERENT_SHARE * len(values)
        return different if enough else []
