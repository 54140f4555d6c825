"""What a network is told of a record: its type. The ids stand behind those of a vocabulary's tokens.

Training and decoding must agree on both; the order is part of every network that was trained.
"""

from nbmf.payload import Kind

RECORD_TYPES = ("text", "conversation", "structured", "other")

TYPE_OF_KIND = {Kind.TEXT: "text", Kind.MESSAGES: "conversation", Kind.JSON: "structured", Kind.BYTES: "other"}
"""Of the kinds of payload that learned coders take."""


def type_id(vocab_size: int, record_type: str) -> int:
    """The input that stands before a record's first token."""
    return vocab_size + RECORD_TYPES.index(record_type)
