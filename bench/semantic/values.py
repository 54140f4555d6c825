"""The values that a record is made of, by kind: vectors, text, numbers, and what is left without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nbmf import arrays
from nbmf.json_number import JsonNumber
from nbmf.vectors.aim import LEAST_DIMS_IN_JSON

TEXT, NUMBERS, REST = "text", "numbers", "JSON otherwise"
_VECTORS = "vectors of "
_NUMBER_TYPES = (int, float, JsonNumber)


@dataclass(slots=True)
class Values:
    """Of one record, each list in the record's order; `rest` is the record with null in place of them."""

    vectors: list[Any] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    numbers: list[Any] = field(default_factory=list)
    rest: Any = None

    def payloads(self) -> list[tuple[str, Any]]:
        """(kind of value, payload) of what is to be coded alone: each vector, all text, all numbers, the rest."""
        found: list[tuple[str, Any]] = [(kind_of(vector), vector) for vector in self.vectors]
        if self.text:
            found.append((TEXT, self.text))
        if self.numbers:
            found.append((NUMBERS, [[number] for number in self.numbers]))  # in a row they might be taken for a vector
        return found if self.rest is None else [*found, (REST, self.rest)]


def kind_of(vector: Any) -> str:
    """The kind of value that a vector is."""
    return f"{_VECTORS}{len(vector):,}"


def is_vectors(kind: str) -> bool:
    """Whether the kind is one of vectors."""
    return kind.startswith(_VECTORS)


def values_of(payload: Any) -> Values:
    """A record taken apart. A matrix, or an array of anything but floats, is left in `rest`."""
    found = Values()
    if arrays.is_array(payload):
        vector = len(payload.shape) == 1 and "float" in str(payload.dtype)
        found.vectors, found.rest = ([payload], None) if vector else ([], payload)
    elif type(payload) is str:
        found.text = [payload]
    else:
        rest = _without(payload, found)
        found.rest = rest
    return found


def _without(value: Any, found: Values) -> Any:
    """The value with null in place of what is added to `found`; not recursive, as records may be very deep."""
    holder: list[Any] = [value]
    waiting: list[tuple[Any, Any]] = [(holder, 0)]
    while waiting:
        place, name = waiting.pop()
        one = place[name]
        if type(one) is dict:
            place[name] = copy = dict(one)
            waiting += [(copy, key) for key in reversed(copy)]
        elif type(one) is list:
            if len(one) >= LEAST_DIMS_IN_JSON and all(type(number) is float for number in one):
                found.vectors.append(one)
                place[name] = None
            else:
                place[name] = copy_ = list(one)
                waiting += [(copy_, index) for index in reversed(range(len(copy_)))]
        elif type(one) is str:
            found.text.append(one)
            place[name] = None
        elif type(one) in _NUMBER_TYPES:
            found.numbers.append(one)
            place[name] = None
    return holder[0]
