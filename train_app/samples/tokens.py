"""Samples as tokens.

Shape suffix: N tokens of a stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nbmf.neural.record_types import TYPE_OF_KIND, type_id
from nbmf.neural.tokenizer import NeuralTokenizer
from train_app.samples.sample import Sample


@dataclass(frozen=True)
class TokenStream:
    """Records joined end to end; each starts with the id of its type."""

    tokens_N: NDArray[np.uint16]
    starts: NDArray[np.int64]  # index of each record's first token, and at the end N
    n_bytes: NDArray[np.int64]  # of each record
    sets: NDArray[np.str_]  # name of each record's set


def as_table(samples: list[Sample]) -> pa.Table:
    """Rows {index, data, type, set} of samples, for `tokenise`; sets are the samples' groups, or payload kinds."""
    return pa.table(
        {
            "index": pa.array(range(len(samples)), pa.int64()),
            "data": [s.canonical for s in samples],
            "type": [_record_type(s) for s in samples],
            "set": [set_of(s) for s in samples],
        }
    )


def tokenise(table: pa.Table, tokenizer_json: str) -> pa.Table:
    """A block of records as rows {index, tokens, n_bytes, set}; the type's id is the first token."""
    tokenizer = NeuralTokenizer.from_json(tokenizer_json)
    data = table["data"].to_pylist()
    tokens = [_tokens(tokenizer, d, t) for d, t in zip(data, table["type"].to_pylist(), strict=True)]
    return pa.table(
        {
            "index": table["index"],
            "tokens": pa.array(tokens, pa.list_(pa.int32())),
            "n_bytes": pa.array([len(d) for d in data], pa.int64()),
            "set": table["set"],
        }
    )


def tokenise_samples(samples: list[Sample], tokenizer: Tokenizer) -> TokenStream:
    """The same in this process, as a stream."""
    neural = NeuralTokenizer(tokenizer.to_str())
    pieces = [np.array(_tokens(neural, s.canonical, _record_type(s)), dtype=np.uint16) for s in samples]
    return TokenStream(
        np.concatenate(pieces),
        np.cumsum([0, *map(len, pieces)]).astype(np.int64),
        np.array([len(s.canonical) for s in samples], dtype=np.int64),
        np.array([set_of(s) for s in samples]),
    )


def set_of(sample: Sample) -> str:
    """Its class, or the kind of its payload where it has none."""
    return sample.group or sample.kind.label


def _tokens(tokenizer: NeuralTokenizer, data: bytes, type_: str) -> list[int]:
    """The id of the record's type, then its tokens."""
    return [type_id(tokenizer.vocab_size, type_), *tokenizer.encode(data)]


def _record_type(sample: Sample) -> str:
    return TYPE_OF_KIND.get(sample.kind, "other")
