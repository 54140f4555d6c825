"""Lists of floats written in decimal, as the binary numbers or the scaled integers that they stand for.

Each number's text is what Python's `repr` makes of a binary64; which one follows from the number's form.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbmf.errors import CorruptBlob

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    def width(self) -> int:
        """Bytes a number."""
        return 8 if self is Form.BINARY64 else 4


def read(texts: list[bytes]) -> Iterator[tuple[Form, int, bytes]]:
    """(form, scale, bytes) of each form by which all the numbers can be written back; none if there is no such form.

    Scale is 0 but for DECIMAL.
    """
    import numpy as np

    values = list(map(float, texts))
    written = [text.decode() for text in texts]
    if list(map(repr, values)) != written:
        return
    numbers = np.array(values, "<f8")
    with np.errstate(over="ignore"):
        short = numbers.astype("<f4")
    if np.array_equal(short.astype("<f8"), numbers):
        yield Form.BINARY32, 0, short.tobytes()
    elif np.isfinite(short).all() and _write_short(short) == written:
        yield Form.SHORT_BINARY32, 0, short.tobytes()
    scale = max(map(_decimals, written))
    if 0 < scale <= MAX_SCALE and float(np.abs(numbers).max()) * 10**scale < (1 << 31) - 1:
        scaled = np.rint(np.abs(numbers) * 10**scale).astype("<u4") << 1 | np.signbit(numbers)
        if _write_decimal(scaled, scale) == written:
            yield Form.DECIMAL, scale, scaled.astype("<u4").tobytes()
    yield Form.BINARY64, 0, numbers.tobytes()


def write(form: Form, scale: int, data: bytes, separator: bytes, most: int) -> bytes:
    """The text of the numbers with `separator` between them. Raises CorruptBlob if it is over `most` bytes long."""
    import numpy as np

    numbers = np.frombuffer(data, {8: "<f8", 4: "<u4" if form is Form.DECIMAL else "<f4"}[form.width])
    if form is not Form.DECIMAL and not np.isfinite(numbers).all():
        raise CorruptBlob("spans body: a number that is none")
    parts: list[bytes] = []
    size = -len(separator)
    between = separator.decode("latin-1")
    for at in range(0, len(numbers), _PARTS_OF):
        part = numbers[at : at + _PARTS_OF]
        if form is Form.SHORT_BINARY32:
            texts = _write_short(part)
        elif form is Form.DECIMAL:
            texts = _write_decimal(part, scale)
        else:
            texts = list(map(repr, part.astype("<f8").tolist()))
        parts.append(between.join(texts).encode("latin-1"))
        size += len(parts[-1]) + len(separator)
        if size > most:
            raise CorruptBlob("spans body: numbers longer than the payload")
    return separator.join(parts)


def _write_short(numbers: NDArray[np.float32]) -> list[str]:
    """The fewest significant digits, of 1 to 9, that read back as the same binary32; as `repr` writes them."""
    import numpy as np

    doubles = numbers.astype("<f8")
    nearest = doubles.copy()
    left = np.arange(len(numbers))
    # From 6 digits on, as most have more: with fewer the same digits come out, `repr` drops the zeros behind them.
    for digits in range(_SHORTEST_DIGITS, _MOST_DIGITS + 1):
        rounded = np.array([float(f"{value:.{digits - 1}e}") for value in doubles[left].tolist()], "<f8")
        nearest[left] = rounded
        with np.errstate(over="ignore"):
            left = left[rounded.astype("<f4") != numbers[left]]
        if not len(left):
            break
    return list(map(repr, nearest.tolist()))


def _write_decimal(scaled: NDArray[np.uint32], scale: int) -> list[str]:
    """`scaled`: the sign in bit 0 (so that there is a -0.0), the integer above."""
    import numpy as np

    absolute = (scaled >> 1).astype("<f8") / 10.0**scale
    return list(map(repr, np.where(scaled & 1, -absolute, absolute).tolist()))


def _decimals(text: str) -> int:
    """Digits behind the point if there were no exponent."""
    mantissa, _, exponent = text.partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)
