"""Altered copies of samples, the same in every process for the same seed, record and set of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nbmf.payload import to_canonical
from train_app.augment.chance import Chance
from train_app.augment.indent import reindented
from train_app.augment.key_names import respelled
from train_app.augment.key_order import reordered
from train_app.augment.names import Augmentation
from train_app.augment.records import record_of
from train_app.augment.roles import renamed
from train_app.augment.substitution import substituted
from train_app.augment.turns import window
from train_app.augment.values import AllValues
from train_app.samples.sample import Sample, digest_of

_Change: TypeAlias = Callable[[Any, Chance], Any]

_CHANGES: dict[Augmentation, _Change] = {
    Augmentation.KEY_ORDER: reordered,
    Augmentation.KEY_NAMES: respelled,
    Augmentation.INDENT: reindented,
    Augmentation.ROLES: renamed,
    Augmentation.TURNS: window,
}


@dataclass(frozen=True, slots=True)
class Augmenting:
    """Which augmentations, how many copies of a record at most, and the seed of all draws."""

    names: tuple[Augmentation, ...]
    copies: int = 1
    seed: int = 1


class Copies:
    """Makes them; `values` are of the records that values are taken from."""

    def __init__(self, how: Augmenting, values: AllValues) -> None:
        self._how = how
        self._values = values

    def of(self, sample: Sample) -> Iterator[tuple[Augmentation, Sample]]:
        """Up to `copies` altered copies of a record, each by one augmentation, all of them different.

        The augmentations take turns, in an order of the record's own; one that does not apply is passed over.
        """
        record, seed = record_of(sample), self._how.seed
        if record is None:
            return
        made = {digest_of(sample.kind, sample.canonical)}
        order = Chance(seed, sample.digest).shuffled(self._how.names)
        wanted = self._how.copies
        for round_ in range(wanted):
            for name in order:
                copy = self._changed(record, sample, name, round_)
                if copy and copy.digest not in made:
                    made.add(copy.digest)
                    yield name, copy
                if len(made) > wanted:
                    return

    def _changed(self, record: Any, sample: Sample, name: Augmentation, round_: int) -> Sample | None:
        chance = Chance(self._how.seed, sample.digest, name.value, round_)
        if name is Augmentation.VALUES:
            changed = substituted(record, chance, self._values.of(sample.group))
        else:
            changed = _CHANGES[name](record, chance)
        if changed is None:
            return None
        kind, canonical = to_canonical(changed)
        return Sample(kind, canonical, digest_of(kind, canonical), sample.group)


@dataclass(frozen=True, slots=True)
class Augmented:
    """Copies of a set of records, and how many each augmentation made."""

    copies: list[Sample]
    counts: Counter[Augmentation]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `copies` by augmentation, and canonical `bytes` of all."""
        return {"copies": by_name(self.counts), "bytes": sum(len(copy.canonical) for copy in self.copies)}


def by_name(counts: Mapping[Augmentation, int]) -> dict[str, int]:
    """Those that made any, in one order."""
    return {name.value: counts[name] for name in Augmentation if counts.get(name)}


def augmented(
    samples: Sequence[Sample],
    how: Augmenting,
    apart: Iterable[Sample] = (),
    on_record: Callable[[], None] = lambda: None,
) -> Augmented:
    """Copies of all samples, in their order; none is equal to one of them, to another, or to one of `apart`.

    `on_record` is called for each sample.
    """
    values = AllValues(samples if Augmentation.VALUES in how.names else ())
    maker, found = Copies(how, values), Augmented([], Counter())
    there = {digest_of(one.kind, one.canonical) for group in (samples, apart) for one in group}
    for sample in samples:
        for name, copy in maker.of(sample):
            if copy.digest not in there:
                there.add(copy.digest)
                found.copies.append(copy)
                found.counts[name] += 1
        on_record()
    return found
