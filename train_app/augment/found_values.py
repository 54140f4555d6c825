"""Ids and days in text, and values that may be a name: what of a record another value can stand for.

A shape says what may take the place of what: ids of the same characters and length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from train_app.augment.records import leaves

LEAST_DIGITS = 6
"""Of a number that is taken for an id."""

BEGIN, END = r"(?:(?<![0-9A-Za-z])(?!0x[0-9A-Fa-f])|(?<=\b0x))", r"(?![0-9A-Za-z])"
"""Of patterns: where a value may begin and end in text."""
_ID = re.compile(
    rf"{BEGIN}(?:(?P<uuid>[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}})"
    rf"|(?<!\d[.,])(?P<digits>\d{{{LEAST_DIGITS},32}})(?![.,]\d)|(?P<run>[0-9A-Za-z]{{8,64}})){END}"
)
_DAY = re.compile(r"(?<![\d-])(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?![\d-])")
_NAME = re.compile(r"(?=.*[^\W_])[\w@][\w .,'@&+()/-]{0,47}")
_MOST_WORDS = 4
_HEXADECIMAL = (frozenset("0123456789abcdef"), frozenset("0123456789ABCDEF"))


def ids_in(text: str) -> Iterator[tuple[str, str]]:
    """(shape, id) of each."""
    for found in _ID.finditer(text):
        if shape := _shape(found.group(), found.lastgroup or ""):
            yield shape, found.group()


def _shape(text: str, group: str) -> str:
    """Of an id; empty where it is none, but rather words with a number."""
    if group == "digits":
        return f"digits {len(text)}"
    cases = f"{' lower' * any(map(str.islower, text))}{' upper' * any(map(str.isupper, text))}"
    if group == "uuid":
        return f"uuid{cases}"
    digits = sum(map(str.isdigit, text))
    if not cases or not digits:
        return ""
    if any(digits_of.issuperset(text) for digits_of in _HEXADECIMAL):
        return f"hex {len(text)}{cases}"
    return f"letters and digits {len(text)}{cases}" if digits > 1 and len(text) >= 12 else ""


def id_of(number: int) -> tuple[str, str] | None:
    """(shape, digits) of an integer that may be an id."""
    digits = str(number) if 0 < number < 10**32 else ""
    return (f"digits {len(digits)}", digits) if len(digits) >= LEAST_DIGITS else None


def ids_of(record: Any) -> Iterator[tuple[str, str]]:
    """(shape, id) of all, in strings and integers."""
    for _, leaf in leaves(record):
        if type(leaf) is str:
            yield from ids_in(leaf)
        elif type(leaf) is int and (found := id_of(leaf)):
            yield found


def days_in(text: str) -> Iterator[str]:
    """Those of dates and times as of ISO 8601: years 1900 to 2099, with hyphens."""
    for found in _DAY.finditer(text):
        if _day(found.group()):
            yield found.group()


def days_of(record: Any) -> Iterator[str]:
    """All days of the strings."""
    for _, leaf in leaves(record):
        if type(leaf) is str:
            yield from days_in(leaf)


def with_days(text: str, new: Mapping[str, str]) -> str:
    """The text with other days; those that are not among them stay."""
    return _DAY.sub(lambda found: new.get(found.group(), found.group()), text)


def days_between(first: str, second: str) -> int:
    """From one to the other."""
    return date.fromisoformat(second).toordinal() - date.fromisoformat(first).toordinal()


def moved(day: str, by: int) -> str | None:
    """The day so many days later; None beyond the years that are found."""
    try:
        found = date.fromordinal(date.fromisoformat(day).toordinal() + by).isoformat()
    except (ValueError, OverflowError):
        return None
    return found if _DAY.fullmatch(found) else None


def _day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def may_be_name(text: str) -> bool:
    """A short text of a few words and marks that names have: no sentence, no date, no URL, not digits alone."""
    if not _NAME.fullmatch(text) or text.isdigit() or "//" in text or text[-1] in ".,":
        return False
    return len(text.split()) <= _MOST_WORDS and not _DAY.search(text)


def is_rare_word(name: str) -> bool:
    """Whether a name may be looked for inside text: `May` and `test` are words as well."""
    return len(name) > 3 and (not name.isalpha() or not name.islower())
