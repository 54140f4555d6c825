"""Records that a version codes every record behind, as if it had coded them just before: its primer.

A record of the same kind then finds its keys, values and turns of phrase among what was seen already. Nothing of the
primer is written again, so that it costs a blob nothing. It is kept as tokens: how text is cut into them may change,
and what was written behind it could not be read.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from nbmf.neural.record_types import RECORD_TYPES

MAX_PRIMER_BYTES = 8192
"""Of the records of a primer that is made: the core takes 16,383 tokens and records, and a token may be a byte."""


class PrimerRecord(NamedTuple):
    """`record_type` is one of RECORD_TYPES; `tokens_T` are int32."""

    record_type: str
    tokens_T: memoryview


def save_primer(records: Sequence[PrimerRecord]) -> bytes:
    """The file's content."""
    rows = [{"type": record.record_type, "tokens": record.tokens_T.tolist()} for record in records]
    return json.dumps({"records": rows}, separators=(",", ":")).encode()


def load_primer(content: bytes) -> list[PrimerRecord]:
    """From such a file. Raises ValueError if it is none; whether its tokens are any the core tells."""
    try:
        rows = json.loads(content)["records"]
        records = [PrimerRecord(row["type"], memoryview(array("i", row["tokens"]))) for row in rows]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"no primer: {error!r}") from error
    if not records or any(record.record_type not in RECORD_TYPES or not record.tokens_T for record in records):
        raise ValueError("no primer: no records, or one without a type or tokens")
    return records
