"""Integers of any length as decimal text and back, in less than quadratic time, which Python's own conversion takes.

Both ways cut a number in halves until Python's own is quick, whatever the process allows it
(`sys.set_int_max_str_digits`), as CPython does from 3.12 on. One way multiplies in decimal, which is
quicker than to divide in binary.
"""

from __future__ import annotations

import decimal
from decimal import Decimal

MAX_DIGITS = 100_000
"""Longest integer of a payload."""

_FEW_DIGITS = 512  # that every process may convert: the least that it can be limited to is 640
_FEW_BITS = 1_700
_BITS_OF_ONE = 200  # that one Decimal is made of

_MOST_BITS = 332_193  # of 10**MAX_DIGITS
_EXACT = decimal.Context(prec=2 * MAX_DIGITS, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.Inexact])


def is_too_long(value: int) -> bool:
    """Whether an integer has more than MAX_DIGITS digits."""
    bits = value.bit_length()
    return bits > _MOST_BITS or (bits == _MOST_BITS and abs(value) >= int(10**MAX_DIGITS))


def most_digits(value: int) -> int:
    """How many digits an integer has, or one more."""
    return int(value.bit_length() * 0.30103) + 1


def to_text(value: int) -> str:
    """The digits of an integer of at most MAX_DIGITS."""
    if value.bit_length() <= _FEW_BITS:
        return str(value)
    powers: dict[int, Decimal] = {}

    def power(bits: int) -> Decimal:
        if bits not in powers:
            powers[bits] = (
                Decimal(1 << bits)
                if bits <= _BITS_OF_ONE
                else _EXACT.multiply(power(bits // 2), power(bits - bits // 2))
            )
        return powers[bits]

    def of(part: int, bits: int) -> Decimal:
        if bits <= _BITS_OF_ONE:
            return Decimal(part)
        low = bits // 2
        above = _EXACT.multiply(of(part >> low, bits - low), power(low))
        return _EXACT.add(above, of(part & (1 << low) - 1, low))

    return ("-" if value < 0 else "") + str(of(abs(value), value.bit_length()))


def from_text(text: str) -> int:
    """The integer that decimal digits write, with or without a sign in front."""
    if len(text) <= _FEW_DIGITS:
        return int(text)
    negative = text.startswith("-")
    powers: dict[int, int] = {}

    def power(digits: int) -> int:
        """Of 5: that of 2 is a shift."""
        if digits not in powers:
            powers[digits] = 5**digits if digits <= _FEW_DIGITS else power(digits // 2) * power(digits - digits // 2)
        return powers[digits]

    def of(begin: int, end: int) -> int:
        if end - begin <= _FEW_DIGITS:
            return int(text[begin:end])
        low = (end - begin) // 2
        return of(end - low, end) + (of(begin, end - low) * power(low) << low)

    value = of(int(negative), len(text))
    return -value if negative else value
