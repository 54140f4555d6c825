"""Turns of conversations: lists of objects that name who speaks, and text whose lines do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_SPEAKER_KEYS = ("role", "from", "speaker")
_FEWEST_TURNS = 2
_FEWEST_TURNS_OF_TEXT = 4
_LINE = re.compile(r"^(?:<(?P<nick>[^<>\n]{1,32})> |(?P<name>[^\W\d_][\w .'-]{0,31}):(?=[ \n]))", re.MULTILINE)


class Conversation(Protocol):
    """A record's turns."""

    @property
    def speakers(self) -> list[str]:
        """Who speaks, turn by turn."""

    def window(self, head: int, begin: int, end: int) -> Any:
        """The record with its first `head` turns and those from `begin` to `end`."""

    def renamed(self, names: Mapping[str, str]) -> Any:
        """The record with other names of who speaks; those that are not among them stay."""


def conversation_of(record: Any) -> Conversation | None:
    """The turns of a record: of a list, of the only list of turns that an object holds, of text; None without any."""
    if type(record) is str:
        return _TextTurns.of(record)
    places = {None: record} if type(record) is list else record if type(record) is dict else {}
    found = [(place, turns, key) for place, turns in places.items() if (key := _speaker_key(turns))]
    if len(found) != 1:
        return None
    place, turns, key = found[0]
    return _JsonTurns(record, place, turns, key)


def _speaker_key(value: Any) -> str | None:
    if type(value) is not list or len(value) < _FEWEST_TURNS or any(type(turn) is not dict for turn in value):
        return None
    return next((key for key in _SPEAKER_KEYS if all(type(turn.get(key)) is str for turn in value)), None)


@dataclass(frozen=True, slots=True)
class _JsonTurns:
    record: Any
    place: str | None
    """The key that holds the turns; None where the record is the list."""
    turns: list[dict[str, Any]]
    key: str

    @property
    def speakers(self) -> list[str]:
        return [turn[self.key] for turn in self.turns]

    def window(self, head: int, begin: int, end: int) -> Any:
        return self._with([*self.turns[:head], *self.turns[begin:end]])

    def renamed(self, names: Mapping[str, str]) -> Any:
        return self._with([turn | {self.key: names.get(turn[self.key], turn[self.key])} for turn in self.turns])

    def _with(self, turns: list[dict[str, Any]]) -> Any:
        return turns if self.place is None else self.record | {self.place: turns}


@dataclass(frozen=True, slots=True)
class _TextTurns:
    """`User: …` or `<nick> …` at the beginning of lines; other lines belong to the turn before."""

    turns: list[str]
    names: list[tuple[str, int]]
    """Who speaks in each turn, and where in it the name begins."""

    @classmethod
    def of(cls, text: str) -> _TextTurns | None:
        """None where it does not begin with a turn, or is rather a list of fields: few speak more than once."""
        lines = list(_LINE.finditer(text))
        if len(lines) < _FEWEST_TURNS_OF_TEXT or lines[0].start():
            return None
        begins = [line.start() for line in lines]
        turns = [text[begin:end] for begin, end in zip(begins, [*begins[1:], len(text)], strict=True)]
        names = [(line["nick"] or line["name"], int(line["nick"] is not None)) for line in lines]
        return cls(turns, names) if 2 * len(set(names)) <= len(names) else None

    @property
    def speakers(self) -> list[str]:
        return [name for name, _ in self.names]

    def window(self, head: int, begin: int, end: int) -> Any:
        """Without the line break at its end: what the text is beyond it does not follow."""
        return "".join([*self.turns[:head], *self.turns[begin:end]]).rstrip("\n")

    def renamed(self, names: Mapping[str, str]) -> Any:
        parts = []
        for turn, (name, at) in zip(self.turns, self.names, strict=True):
            parts.append(turn[:at] + names.get(name, name) + turn[at + len(name) :])
        return "".join(parts)
