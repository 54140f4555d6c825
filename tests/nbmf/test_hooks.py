"""A caller's own rule for what JSON has not: there and back."""

import dataclasses
import datetime
import enum
import functools
import json
import uuid
from decimal import Decimal

import numpy as np
import pydantic
import pytest
from helpers import json_values, nested, same
from hypothesis import given

import nbmf
from nbmf import Codec
from nbmf.errors import UnsupportedPayload
from nbmf.hooks import with_defaults, with_object_hook
from nbmf.payload import MAX_DEPTH


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Note:
    text: str
    tags: tuple[str, ...]


class Person(pydantic.BaseModel):
    name: str
    born: datetime.date


_WRITERS = {
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    uuid.UUID: str,
    Decimal: str,
    set: sorted,
    tuple: list,
    complex: lambda z: [z.real, z.imag],
    Colour: lambda colour: colour.name,
    Level: lambda level: level.name,
    Note: lambda note: {"text": note.text, "tags": note.tags},
    Person: lambda person: person.model_dump(),
    np.ndarray: np.ndarray.tolist,
}
_READERS = {
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "UUID": uuid.UUID,
    "Decimal": Decimal,
    "set": set,
    "tuple": tuple,
    "complex": lambda pair: complex(*pair),
    "Colour": Colour.__getitem__,
    "Level": Level.__getitem__,
    "Note": lambda fields: Note(**fields),
    "Person": lambda fields: Person(**fields),
    "ndarray": np.array,
}


def default(value):
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"{type(value).__name__} has no form")
    return {"__type__": type(value).__name__, "value": writer(value)}


def object_hook(fields):
    return _READERS[fields["__type__"]](fields["value"]) if "__type__" in fields else fields


STATE = {
    "at": datetime.datetime(2026, 3, 9, 8, 30, 0, 123456, tzinfo=datetime.UTC),
    "day": datetime.date(2026, 3, 9),
    "id": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "price": Decimal("1.10"),
    "seen": {1, 2, 3},
    "pair": (1, ("a", [(), {"deep": (None,)}])),
    "z": 1 + 2j,
    "colour": Colour.RED,
    "level": Level.HIGH,
    "notes": [Note("milk", ("todo",))],
    "who": Person(name="Ada", born=datetime.date(1815, 12, 10)),
    "plain": {"a": [1, 2.5, None, True, "x"]},
}


def test_what_state_holds_comes_back():
    before = repr(STATE)
    blob = nbmf.encode(STATE, default=default)
    assert nbmf.decode(blob, object_hook=object_hook) == STATE
    assert repr(STATE) == before
    assert nbmf.decode(blob)["price"] == {"__type__": "Decimal", "value": "1.10"}
    codec = Codec()
    blobs = codec.encode_batch([STATE, {"a": (1,)}, {"b": object()}], default=default)
    assert codec.decode_batch(blobs[:2], object_hook=object_hook) == [STATE, {"a": (1,)}]
    assert isinstance(blobs[2], UnsupportedPayload)
    assert codec.decode(codec.encode(STATE, default=default), object_hook=object_hook) == STATE


@pytest.mark.parametrize("payload", [Decimal("1"), (1, 2), {3}, Colour.RED])
def test_a_payload_that_is_none_itself(payload):
    assert nbmf.decode(nbmf.encode(payload, default=default), object_hook=object_hook) == payload


def test_default_may_give_any_payload():
    assert nbmf.decode(nbmf.encode(Decimal("1.5"), default=str)) == "1.5"
    assert nbmf.decode(nbmf.encode(bytearray(b"ab"), default=bytes)) == b"ab"
    assert same(nbmf.decode(nbmf.encode((1.0, 2.0), default=np.array)), np.array([1.0, 2.0]))


def test_what_nbmf_holds_is_not_asked_for():
    def never(value):
        raise AssertionError(value)

    for payload in ("text", b"\x00", np.arange(3), {"a": [1, 2.5, "x", None, {"b": []}]}, nbmf.JsonNumber("1.50")):
        assert same(nbmf.decode(nbmf.encode(payload, default=never)), payload)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"a": [0, {"b": object()}]}, "$.a[1].b: object has no form"),
        (object(), "$: object has no form"),
        ({"a": {1: 2}}, "$.a: a dict key is int"),
        ([Decimal(1), {"k": b"x"}], "$[1].k: bytes has no form"),
    ],
)
def test_what_default_does_not_know_is_named(payload, told):
    with pytest.raises(UnsupportedPayload) as raised:
        nbmf.encode(payload, default=default)
    assert str(raised.value).startswith(told)


def test_other_errors_of_default_are_the_callers():
    with pytest.raises(ZeroDivisionError):
        nbmf.encode({"a": object()}, default=lambda _: 1 / 0)


def test_circles_end():
    circle = {"a": []}
    circle["a"].append(circle)
    with pytest.raises(UnsupportedPayload, match="contains itself"):
        nbmf.encode(circle, default=default)
    with pytest.raises(UnsupportedPayload, match="again and again"):
        nbmf.encode([object()], default=lambda value: value)
    with pytest.raises(UnsupportedPayload, match="contains itself"):
        nbmf.encode([object()], default=lambda value: [value])


@given(json_values)
def test_json_passes_through_both(value):
    assert same(with_defaults(value, default, MAX_DEPTH), value)
    assert same(with_object_hook(with_defaults(value, default, MAX_DEPTH), lambda fields: fields), value)


@given(json_values)
def test_hooks_see_what_those_of_json_see(value):
    def count(seen, fields):
        seen.append(list(fields))
        return len(fields)

    ours, theirs = [], []
    text = json.dumps(value)
    found = with_object_hook(json.loads(text), functools.partial(count, ours))
    assert same(found, json.loads(text, object_hook=functools.partial(count, theirs)))
    assert sorted(ours) == sorted(theirs)


def test_the_deepest():
    deep = nested(MAX_DEPTH, "mixed")
    assert same(nbmf.decode(nbmf.encode(deep, default=default), object_hook=object_hook), deep)
    with pytest.raises(UnsupportedPayload, match="nested deeper"):
        nbmf.encode([deep], default=default)
