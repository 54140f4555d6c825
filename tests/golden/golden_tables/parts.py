"""What the golden records are made of, drawn in this order from one seed, and how they are described."""

import base64
import random
import textwrap

import helpers
import numpy as np

from nbmf.wire import to_wire

_RNG = random.Random(2026)
RECORD = helpers.record(_RNG)
SENTENCES = " ".join(helpers.sentence(_RNG) for _ in range(8))
STATE = {"user": {"name": "Ada", "tags": ["a", "b"] * 5}, "z": -0.0, "a": [1, 1.0, True, None, 2**70, 1e-7]}
SMOOTH = np.cumsum(np.array([_RNG.gauss(0, 1) for _ in range(64)]))
NOISE = _RNG.randbytes(40)
OCTETS = _RNG.randbytes(75)
BASE64 = base64.b64encode(OCTETS).decode()
PROSE = base64.b64encode(b"The customer asked twice for a seat by the window, and for no calls before nine.").decode()
LINES = textwrap.wrap(base64.b64encode(OCTETS * 3 + b"!").decode(), 76)
SINGLES = [_RNG.gauss(0, 0.05) for _ in range(24)]
DOUBLES = np.array(SINGLES, "<f4").astype("<f8").tolist()
SHORTEST = [float(np.format_float_scientific(single)) for single in np.array(SINGLES, "<f4")]
SIGNED = [{"role": "assistant", "content": SENTENCES, "signature": BASE64}]


def as_json(value):
    return {"json": value}


def as_array(array):
    return {"array": {"dtype": array.dtype.str, "shape": list(array.shape), "hex": array.tobytes().hex()}}


def as_wire(array):
    """Of any type, byte order and library."""
    return {"wire": to_wire(array)}


def _specials(dtype, bits):
    """NaN with a payload, both infinities, -0.0, the smallest subnormal, one."""
    return np.array(bits, f"<u{dtype[2]}").view(dtype)


F2 = _specials("<f2", [0x7E01, 0x7C00, 0xFC00, 0x8000, 0x0001, 0x3C00])
F4 = _specials("<f4", [0x7FC00001, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x3F800000])
F8 = _specials("<f8", [0x7FF8 << 48 | 1, 0x7FF0 << 48, 0xFFF0 << 48, 1 << 63, 1, 0x3FF0 << 48])

NUMBERS = '{"price":1.50,"far":[1e400,-1E-400],"digits":0.1234567890123456789012345,"none":-0,"plain":[1.5,1e-07,-0.0]}'

LEARNED = {
    "text": as_json("Remember that Anna prefers the window seat, and that the invoice of March is open. " * 2),
    "text_foreign": as_json("東京 and Zürich, \ud800 alone, \x00 too."),
    "messages": as_json(RECORD),
    "json": as_json(STATE),
    "json_long": as_json([{"id": i, "name": f"step {i}", "done": i % 3 == 0} for i in range(40)]),
}
"""What versions with learned parts code."""
