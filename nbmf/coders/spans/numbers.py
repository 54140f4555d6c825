"""Lists of floats written in decimal, as the binary numbers or the scaled integers that they stand for.

Each number's text is what Python's `repr` makes of a binary64; which one follows from the number's form.
"""

from __future__ import annotations

import enum
import math
import struct
from array import array
from collections.abc import Iterator, Sequence

from nbmf.errors import CorruptBlob

MAX_SCALE = 9
"""Most decimals of numbers kept as integers."""

_PARTS_OF = 1 << 14  # numbers written at once
_SHORTEST_DIGITS, _MOST_DIGITS = 6, 9  # significant digits that tell binary32 numbers apart: at most 9


class Form(enum.IntEnum):
    """What of a number is kept. The numbers are part of the format."""

    BINARY32 = 0
    """A binary32; its text is that of the binary64 of the same value."""
    SHORT_BINARY32 = 1
    """A binary32; its text is that of the binary64 nearest to its fewest digits."""
    BINARY64 = 2
    DECIMAL = 3
    """A sign and an integer of 31 bits; its text is that of the binary64 nearest to the integer over a power of ten."""

    @property
    def type(self) -> str:
        """What the binary numbers are."""
        return "float64" if self is Form.BINARY64 else "float32"

    @property
    def width(self) -> int:
        """Bytes a number."""
        return 8 if self is Form.BINARY64 else 4


_TYPES = {Form.BINARY32: "f", Form.SHORT_BINARY32: "f", Form.BINARY64: "d", Form.DECIMAL: "I"}


def read(values: list[float], written: list[str]) -> Iterator[tuple[Form, int, bytes]]:
    """(form, scale, bytes) of each form by which all the numbers can be written back as `written`, which `repr` does.

    Scale is 0 but for DECIMAL.
    """
    try:
        short = struct.pack(f"<{len(values)}f", *values)
    except OverflowError:
        pass
    else:
        rounded = struct.unpack(f"<{len(values)}f", short)
        if list(rounded) == values:
            yield Form.BINARY32, 0, short
        elif _write_short(rounded) == written:
            yield Form.SHORT_BINARY32, 0, short
    scale = _scale(written)
    if scale > 0 and max(map(abs, values)) * 10**scale < (1 << 31) - 1:
        scaled = [round(abs(value) * 10**scale) << 1 | (math.copysign(1, value) < 0) for value in values]
        if _write_decimal(scaled, scale) == written:
            yield Form.DECIMAL, scale, struct.pack(f"<{len(values)}I", *scaled)
    yield Form.BINARY64, 0, struct.pack(f"<{len(values)}d", *values)


def binary32(texts: Sequence[bytes]) -> bytes | None:
    """The numbers rounded to binary32; None if one is too large for that."""
    try:
        return struct.pack(f"<{len(texts)}f", *map(float, texts))
    except OverflowError:
        return None


def write(form: Form, scale: int, data: bytes, separator: bytes, most: int) -> bytes:
    """The text of the numbers with `separator` between them. Raises CorruptBlob if it is over `most` bytes long."""
    parts: list[bytes] = []
    size = -len(separator)
    between = separator.decode("latin-1")
    for at in range(0, len(data), _PARTS_OF * form.width):
        part = data[at : at + _PARTS_OF * form.width]
        numbers = struct.unpack(f"<{len(part) // form.width}{_TYPES[form]}", part)
        if form is Form.DECIMAL:
            texts = _write_decimal(numbers, scale)
        elif not all(map(math.isfinite, numbers)):
            raise CorruptBlob("spans body: a number that is none")
        else:
            texts = _write_short(numbers) if form is Form.SHORT_BINARY32 else list(map(repr, numbers))
        parts.append(between.join(texts).encode("latin-1"))
        size += len(parts[-1]) + len(separator)
        if size > most:
            raise CorruptBlob("spans body: numbers longer than the payload")
    return separator.join(parts)


def _write_short(numbers: Sequence[float]) -> list[str]:
    """The fewest significant digits, of 1 to 9, that read back as the same binary32; as `repr` writes them."""
    nearest = list(numbers)
    left = list(range(len(nearest)))
    # From 6 digits on, as most have more: with fewer the same digits come out, `repr` drops the zeros behind them.
    for digits in range(_SHORTEST_DIGITS, _MOST_DIGITS + 1):
        for index in left:
            nearest[index] = float(f"{numbers[index]:.{digits - 1}e}")
        short = array("f", (nearest[index] for index in left))
        left = [index for index, number in zip(left, short, strict=True) if number != numbers[index]]
        if not left:
            break
    return list(map(repr, nearest))


def _write_decimal(scaled: Sequence[int], scale: int) -> list[str]:
    """`scaled`: the sign in bit 0 (so that there is a -0.0), the integer above."""
    whole = 10.0**scale
    return [repr(-((number >> 1) / whole) if number & 1 else (number >> 1) / whole) for number in scaled]


def _scale(texts: list[str]) -> int:
    """The most digits behind the point, if there were no exponents; 0 if they are more than MAX_SCALE."""
    most = 0
    for text in texts:
        mantissa, _, exponent = text.partition("e")
        most = max(most, len(mantissa.partition(".")[2]) - int(exponent or 0))
        if most > MAX_SCALE:
            return 0
    return most
