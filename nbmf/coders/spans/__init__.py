"""Spans: runs of base64, hexadecimal digits and floats are cut out and coded as the binary that they write.

What remains goes by the ladder like a record of its own. `find` looks for spans, `layout` writes and reads the body.
"""

from nbmf.coders.spans.find import KINDS, approximated, cut, remaining
from nbmf.coders.spans.layout import Cut, Parsed, inner_coder, near_vectors, parse

NUMBER = 7
"""The coder where what remains is coded without a codec version."""

NUMBER_WITH_REFERENCE = 8
"""The coder where it is coded by a version's own coder."""

NAMES = {NUMBER: "spans", NUMBER_WITH_REFERENCE: "spans_learned"}

__all__ = [
    "KINDS",
    "NAMES",
    "NUMBER",
    "NUMBER_WITH_REFERENCE",
    "Cut",
    "Parsed",
    "approximated",
    "cut",
    "inner_coder",
    "near_vectors",
    "parse",
    "remaining",
]
