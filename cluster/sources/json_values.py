"""Where the values of a JSON document begin and end: found by its brackets and strings, without parsing any.

Streamed: of a value that is longer than wanted only the beginning is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_PIECE_BYTES = 256 * 1024
_MARK = b"\xef\xbb\xbf"
_IN_STRING = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_BETWEEN = rb'[^"\[\]{}]*+'
_TO_BRACKET = re.compile(_BETWEEN + rb'(?:"' + _IN_STRING + rb'"' + _BETWEEN + rb")*+", re.DOTALL)
"""Up to a bracket that is in no string, a string of which the end is not there yet, or the end."""

_TO_QUOTE = re.compile(_IN_STRING, re.DOTALL)
_BRACKETS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_SPACES = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'[^ \t\r\n,"\[\]{}]*+')
_NO_COMMA = re.compile(rb'[^,"\[\]{}]*+')


class Value(NamedTuple):
    """A value's bytes, at most so many as were wanted, and where it begins and ends."""

    data: bytes
    start: int
    end: int


class Document:
    """A JSON document that is read from `file`, which is at the offset `start`, up to `end` or the file's end."""

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None, limit_bytes: int = _PIECE_BYTES) -> None:
        self.has_end = False
        """Of an array: whether the bracket that closes it was there."""
        self._file = file
        self._end = end
        self._limit_bytes = limit_bytes
        self._data = b""
        self._at = 0
        self._base = start
        self._held = bytearray()

    def begins_array(self) -> bool:
        """Whether the document is an array; its opening bracket is passed by then."""
        if self._base == 0 and self._fill() and self._data.startswith(_MARK):
            self._at = len(_MARK)
        if self._next() != b"[":
            return False
        self._at += 1
        return True

    def items(self) -> Iterator[Value]:
        """What is between the commas of an array, up to the bracket that closes it.

        Nothing is an error here: two commas in a row have a value of no bytes between them. What the file ends in is no
        item.
        """
        while True:
            start, byte = self._begin(), self._next()
            while byte not in (b"", b",", b"]"):
                self._element(byte, _NO_COMMA)
                byte = self._data[self._at : self._at + 1] if self._at < len(self._data) or self._fill() else b""
            self.has_end = byte == b"]"
            if not byte and self._end is None:
                return
            if self._held or byte == b",":
                yield Value(bytes(self._held), start, self._base + self._at)
            if byte != b",":
                self._at += len(byte)
                return
            self._at += 1

    def values(self) -> Iterator[Value]:
        """Values one behind the other, as JSON Lines have them, but over any lines."""
        if self._base == 0 and self._fill() and self._data.startswith(_MARK):
            self._at = len(_MARK)
        while byte := self._next():
            start = self._begin()
            if byte in b",]}":
                self._take(self._at + 1)  # that should not be there: a value that is none
            else:
                self._element(byte, _SCALAR)
            yield Value(bytes(self._held), start, self._base + self._at)

    def rest(self) -> bytes:
        """A piece of what follows, if it is more than space."""
        return self._data[self._at : self._at + 80] if self._next() else b""

    def _element(self, byte: bytes, plain: re.Pattern[bytes]) -> None:
        """Takes a string, what is in brackets, or other bytes."""
        if byte == b'"':
            self._string()
        elif byte in b"[{":
            self._bracketed()
        elif byte == b"}":
            self._take(self._at + 1)
        else:
            while True:
                self._take_match(plain)
                if self._at < len(self._data) or not self._fill():
                    return

    def _bracketed(self) -> None:
        depth = 0
        while self._at < len(self._data) or self._fill():
            data, at = self._data, self._at
            while at < len(data):
                found = _TO_BRACKET.match(data, at)
                at = found.end() if found else at
                if data[at : at + 1] not in _BRACKETS:
                    break
                depth += _BRACKETS[data[at : at + 1]]
                at += 1
                if depth == 0:
                    self._take(at)
                    return
            self._take(at)
            if data[at : at + 1] == b'"':
                self._string()

    def _string(self) -> None:
        self._take(self._at + 1)
        while self._at < len(self._data) or self._fill():
            self._take_match(_TO_QUOTE)
            byte = self._data[self._at : self._at + 1]
            if byte:
                self._take(self._at + 1)
                if byte == b'"':
                    return
                if self._at < len(self._data) or self._fill():  # it was a backslash, the last byte of its piece
                    self._take(self._at + 1)

    def _next(self) -> bytes:
        """The next byte that is no space; none at the end."""
        while True:
            found = _SPACES.match(self._data, self._at)
            assert found is not None  # noqa: S101 - it matches nothing, too
            self._at = found.end()
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            if not self._fill():
                return b""

    def _begin(self) -> int:
        self._next()
        self._held.clear()
        return self._base + self._at

    def _take_match(self, pattern: re.Pattern[bytes]) -> None:
        found = pattern.match(self._data, self._at)
        assert found is not None  # noqa: S101 - it matches nothing, too
        self._take(found.end())

    def _take(self, end: int) -> None:
        room = self._limit_bytes - len(self._held)
        if room > 0:
            self._held += self._data[self._at : min(end, self._at + room)]
        self._at = end

    def _fill(self) -> bool:
        """The next piece, once all of the last one is taken."""
        if self._at < len(self._data):
            return True
        self._base += len(self._data)
        self._at = 0
        wanted = _PIECE_BYTES if self._end is None else min(_PIECE_BYTES, self._end - self._base)
        self._data = self._file.read(wanted)
        return bool(self._data)
