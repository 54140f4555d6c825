"""Octets written as text: base64 of both alphabets, in one run or in lines, and hexadecimal digits."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")

LINE_ENDS = (b"\n", b"\r\n", b"\\n", b"\\r\\n")
"""Between lines of base64, by number; the last two are what stands for the first two inside a JSON string."""


@dataclass(frozen=True, slots=True)
class Base64:
    """How octets are written. `line` characters a line (0: all in one) with a line end of LINE_ENDS between them."""

    url_safe: bool = False
    padded: bool = False
    line: int = 0
    line_end: int = 0

    def size(self, octets: int) -> int:
        """Length of the text."""
        characters = (octets + 2) // 3 * 4 if self.padded else (octets * 4 + 2) // 3
        return characters + (self._breaks(characters) * len(LINE_ENDS[self.line_end]) if self.line else 0)

    def write(self, octets: bytes) -> bytes:
        """The text."""
        text = binascii.b2a_base64(octets, newline=False)
        if not self.padded:
            text = text.rstrip(b"=")
        if self.url_safe:
            text = text.translate(_TO_URL_SAFE)
        if not self.line:
            return text
        return LINE_ENDS[self.line_end].join(text[at : at + self.line] for at in range(0, len(text), self.line))

    def read(self, text: bytes) -> bytes | None:
        """The octets, if they are written as just this text."""
        characters = text.replace(LINE_ENDS[self.line_end], b"") if self.line else text
        characters = characters.translate(_FROM_URL_SAFE) if self.url_safe else characters
        try:
            octets = binascii.a2b_base64(characters if self.padded else characters + b"=" * (-len(characters) % 4))
        except binascii.Error:
            return None
        return octets if self.write(octets) == text else None

    def _breaks(self, characters: int) -> int:
        return (characters - 1) // self.line


@dataclass(frozen=True, slots=True)
class Hexadecimal:
    """Two digits an octet, letters of one case."""

    upper: bool = False

    def size(self, octets: int) -> int:
        """Length of the text."""
        return 2 * octets

    def write(self, octets: bytes) -> bytes:
        """The text."""
        return octets.hex().upper().encode() if self.upper else octets.hex().encode()

    def read(self, text: bytes) -> bytes | None:
        """The octets, if they are written as just this text."""
        try:
            octets = binascii.unhexlify(text)
        except binascii.Error:
            return None
        return octets if self.write(octets) == text else None
