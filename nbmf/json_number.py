"""Numbers of JSON text, which come back as they were written."""

from __future__ import annotations

import re
from typing import Self

from nbmf import json_integer

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


class JsonNumber(float):
    """A number that JSON text writes otherwise than Python would: `1.50`, `1E5`, `-0`, `1e400`, one of thirty digits.

    It is the nearest float, infinite where that is beyond a float's range, and counts and compares as that; `text` is
    what stood there, and what nbmf writes again. Python's own `json` writes the float.

    Raises ValueError for what is no JSON number, or one that an int or a float is written as: they need no text.
    """

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        found = _NUMBER.fullmatch(text)
        if not found:
            raise ValueError(f"{text[:100]!r} is no JSON number")
        number = super().__new__(cls, text)
        if text == float.__repr__(number) or (not any(found.groups()) and text != "-0"):
            raise ValueError(f"{text[:100]!r} needs no JsonNumber: it is what Python writes for that number")
        number.text = text
        return number

    def __repr__(self) -> str:
        return f"JsonNumber({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)


def read_float(text: str) -> float:
    """The number that JSON text with a fraction or an exponent writes: a float, or a JsonNumber."""
    number = float(text)
    return number if repr(number) == text else JsonNumber(text)


def read_integer(text: str) -> int | JsonNumber:
    """The number that JSON text without either writes."""
    return JsonNumber(text) if text == "-0" else json_integer.from_text(text)
