"""Text from elsewhere that is shown on a terminal or written to a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with what moves a cursor, changes colours or the direction of writing as escapes. Lines stay lines."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
