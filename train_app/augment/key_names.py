"""Keys spelled otherwise: the words of a name stay, and how they are joined changes, for all keys of a record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from nbmf.payload import is_message_list
from train_app.augment.chance import Chance

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:([_-])[A-Za-z0-9]+(?:\1[A-Za-z0-9]+)*)?")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+[0-9]*")

SNAKE, CAMEL, KEBAB, PASCAL = "snake", "camel", "kebab", "pascal"
_STYLES = (SNAKE, CAMEL, KEBAB, PASCAL)
_OF_MESSAGES = (SNAKE, CAMEL, KEBAB)
"""`Role` and `Content` would be no messages any more."""


@lru_cache(1 << 14)
def words_of(name: str) -> tuple[str, ...]:
    """Of `user_name`, `userName`, `user-name` and `UserName` user and name; none of what is no such name."""
    return tuple(word.lower() for word in _WORD.findall(name)) if _NAME.fullmatch(name) else ()


def spelled(words: tuple[str, ...], style: str) -> str:
    """The name of these words."""
    if style in (SNAKE, KEBAB):
        return ("_" if style == SNAKE else "-").join(words)
    first, *others = words
    capitals = "".join(word.capitalize() for word in others)
    return (first.capitalize() if style == PASCAL else first) + capitals


def respelled(record: Any, chance: Chance) -> Any:
    """The record with its names in another style, and strings that are one of those; None where no name has more than
    a word, or two of an object would become the same."""
    several = {name for name in _keys(record) if len(words_of(name)) > 1}
    styles = _OF_MESSAGES if is_message_list(record) else _STYLES
    others = [style for style in styles if any(spelled(words_of(name), style) != name for name in several)]
    if not others:
        return None
    style = chance.pick(others)
    try:
        return _renamed(record, style, several)
    except _Twice:
        return None


class _Twice(Exception):
    pass


def _renamed(value: Any, style: str, several: set[str]) -> Any:
    if type(value) is list:
        return [_renamed(one, style, several) for one in value]
    if type(value) is dict:
        found = {_new(name, style): _renamed(one, style, several) for name, one in value.items()}
        if len(found) < len(value):
            raise _Twice
        return found
    return _new(value, style) if type(value) is str and value in several else value


def _new(name: str, style: str) -> str:
    words = words_of(name)
    return spelled(words, style) if words else name


def _keys(value: Any) -> Iterator[str]:
    if type(value) is dict:
        yield from value
    for one in value.values() if type(value) is dict else value if type(value) is list else ():
        yield from _keys(one)
