"""Range coder: integer frequencies of any total to bytes and back.

G. N. N. Martin 1979, "Range encoding"; carries go back into the bytes already written. The
range is kept in [2^48, 2^56), so totals up to 2^32 cost less than 2^-16 of a bit. Integer only.
A state is an array of four uint64 (low or code, range, position, length of the stream): the
same few functions are compiled into the decoding loop.

These are changed only together with the format number: any change is another bit stream.
"""

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.jit import inlined, uncounted
from nbmf.neural.scalars import Whole

State = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

LOW, RANGE, POSITION, LENGTH = 0, 1, 2, 3
MAX_TOTAL = 1 << 32
_U8 = np.uint64(8)
_TOP_SHIFT = np.uint64(48)
_MIN_RANGE = np.uint64(1 << 48)
_LOW_MASK = np.uint64((1 << 48) - 1)
_FULL = np.uint64((1 << 56) - 1)


def new_state() -> State:
    return np.zeros(4, dtype=np.uint64)


@uncounted
def start_encoder(state: State) -> None:
    state[LOW] = state[POSITION] = state[LENGTH] = 0
    state[RANGE] = _FULL


@inlined
def _put(state: State, out: Bytes) -> None:
    """Write the top byte of low; a carry goes into the bytes before it."""
    top = state[LOW] >> _TOP_SHIFT
    position = np.int64(state[POSITION])
    if top > np.uint64(255):
        back = position - 1
        while out[back] == 255:
            out[back] = 0
            back -= 1
        out[back] += 1
    out[position] = np.uint8(top & np.uint64(255))
    state[POSITION] += np.uint64(1)
    state[LOW] = (state[LOW] & _LOW_MASK) << _U8


@inlined
def encode_symbol(state: State, out: Bytes, before: Whole, frequency: Whole, total: Whole) -> None:
    """`before` is the sum of the frequencies of the symbols before; `out` must have room."""
    unit = state[RANGE] // np.uint64(total)
    state[LOW] += unit * np.uint64(before)
    state[RANGE] = unit * np.uint64(frequency)
    while state[RANGE] < _MIN_RANGE:
        _put(state, out)
        state[RANGE] <<= _U8


@uncounted
def finish_encoder(state: State, out: Bytes) -> Whole:
    """Write the shortest tail that names the interval; returns the length of the stream."""
    low, size = state[LOW], state[RANGE]
    for zeros in (np.uint64(56), np.uint64(48), np.uint64(40), np.uint64(32), np.uint64(0)):
        mask = (np.uint64(1) << zeros) - np.uint64(1)
        value = (low + mask) & ~mask
        if value - low < size:
            break
    state[LOW] = value
    for _ in range(7):
        _put(state, out)
    length = np.int64(state[POSITION])
    while length > 0 and out[length - 1] == 0:
        length -= 1
    return length


@inlined
def start_decoder(state: State, stream: Bytes) -> None:
    state[LOW] = state[POSITION] = state[LENGTH] = 0
    state[RANGE] = _FULL
    state[LENGTH] = np.uint64(len(stream))
    for _ in range(7):
        state[LOW] = (state[LOW] << _U8) | _next_byte(state, stream)


@inlined
def _next_byte(state: State, stream: Bytes) -> np.uint64:
    """Behind its end a stream goes on with zeros."""
    position = np.int64(state[POSITION])
    state[POSITION] += np.uint64(1)
    if position < np.int64(state[LENGTH]):
        return np.uint64(stream[position])
    return np.uint64(0)


@inlined
def decode_target(state: State, total: Whole) -> Whole:
    """A number in [0, total): the symbol is the one whose interval holds it."""
    unit = state[RANGE] // np.uint64(total)
    return min(np.int64(state[LOW] // unit), np.int64(total) - 1)


@inlined
def decode_advance(state: State, stream: Bytes, before: Whole, frequency: Whole, total: Whole) -> None:
    unit = state[RANGE] // np.uint64(total)
    state[LOW] -= unit * np.uint64(before)
    state[RANGE] = unit * np.uint64(frequency)
    while state[RANGE] < _MIN_RANGE:
        state[LOW] = (state[LOW] << _U8) | _next_byte(state, stream)
        state[RANGE] <<= _U8
