"""File of the counts: safetensors compressed with zstd, tokens as steps from the follower before."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import zstandard
from numpy.typing import NDArray

from nbmf import _core
from nbmf._core import CONTEXTS, EXTRA_TOKENS, SCALE
from nbmf.neural.counts import Counts

_LEVEL = 19
_MAX_BYTES = 1 << 30
_PARAMETERS = ("discount_O", "spread_O", "spread_floor_O")
_DTYPES = {
    "step_low_N": np.uint8, "step_high_N": np.uint8, "followers_C": np.uint16, "code_N": np.uint8,
    "count_of_code": np.float64, "vocab_size": np.int64, **dict.fromkeys(_PARAMETERS, np.float64),
}  # fmt: skip
_LARGEST = 1e9


def save_counts(counts: Counts) -> bytes:
    """The file's content."""
    from safetensors.numpy import save

    step_N, followers_C = _steps(counts)
    arrays = {
        "step_low_N": (step_N & 255).astype(np.uint8),
        "step_high_N": (step_N >> 8).astype(np.uint8),
        "followers_C": followers_C.astype(np.uint16),
        "code_N": counts.code_N,
        "count_of_code": counts.count_of_code,
        "vocab_size": np.array([len(counts.unigram_V)], dtype=np.int64),
        **{name: getattr(counts, name) for name in _PARAMETERS},
    }
    return zstandard.ZstdCompressor(level=_LEVEL).compress(save(arrays))


@lru_cache(maxsize=4)
def load_counts(data: bytes) -> Counts:
    """From such a file, one object for one content: coders of a version share it. Raises ValueError if it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        # what the header states is allocated, whatever max_output_size says
        if zstandard.get_frame_parameters(data).content_size > _MAX_BYTES:
            raise ValueError("no counts: too large")
        arrays = load(zstandard.ZstdDecompressor().decompress(data))
        for name, dtype in _DTYPES.items():
            if arrays[name].dtype != dtype or arrays[name].ndim != 1:
                raise ValueError(f"no counts: {name} has another type")
        step_low_N, step_high_N = arrays["step_low_N"], arrays["step_high_N"]
        token_N = np.zeros(len(step_low_N), dtype=np.uint16)
        _core.counts_tokens(step_low_N, step_high_N, arrays["followers_C"], token_N)
        vocab_size = int(arrays["vocab_size"][0])
        return make_counts(
            token_N,
            arrays["followers_C"].astype(np.int64),
            arrays["code_N"].copy(),  # the whole file would stay in memory with it
            arrays["count_of_code"],
            vocab_size,
            *(arrays[name] for name in _PARAMETERS),
        )
    except (SafetensorError, zstandard.ZstdError, KeyError, IndexError) as error:
        raise ValueError(f"no counts: {error!r}") from error


def make_counts(
    token_N: NDArray[np.integer],
    followers_C: NDArray[np.int64],
    code_N: NDArray[np.uint8],
    count_of_code: NDArray[np.float64],
    vocab_size: int,
    discount_O: NDArray[np.float64],
    spread_O: NDArray[np.float64],
    spread_floor_O: NDArray[np.float64],
) -> Counts:
    """What can be worked out from the rest, added; everything checked that a look-up relies on."""
    n_single = len(token_N) - int(followers_C.sum())
    first_C = np.empty(len(followers_C) + 1, dtype=np.int64)
    first_C[0] = n_single  # followers stand behind all sequences of one token, in the order of what they follow
    np.cumsum(followers_C, out=first_C[1:])
    first_C[1:] += n_single
    if len(code_N) != len(token_N) or first_C[-1] != len(token_N) or followers_C.min(initial=0) < 0:
        raise ValueError("no counts: sizes do not fit together")
    if n_single != vocab_size + EXTRA_TOKENS or token_N[n_single:].max(initial=0) >= vocab_size:
        raise ValueError("no counts: tokens beyond the vocabulary")
    if code_N.max(initial=0) >= len(count_of_code) or any(
        len(parameter) != CONTEXTS for parameter in (discount_O, spread_O, spread_floor_O)
    ):
        raise ValueError("no counts: codes or parameters missing")
    n_contexts = n_single
    for _ in range(CONTEXTS - 1):
        if n_contexts >= len(first_C):
            raise ValueError("no counts: sizes do not fit together")
        n_contexts = int(first_C[n_contexts])
    if n_contexts != len(followers_C):
        raise ValueError("no counts: sizes do not fit together")
    # With counts of at least 1 and discounts below that, every frequency is positive.
    if (
        not ((count_of_code >= 1) & (count_of_code <= _LARGEST)).all()
        or not ((discount_O >= 0) & (discount_O < 1)).all()
        or not all(((spread >= 0) & (spread <= _LARGEST)).all() for spread in (spread_O, spread_floor_O))
    ):
        raise ValueError("no counts: values out of range")
    begins_C = first_C.astype(np.int32)
    value_of_code = count_of_code.astype(np.int64)
    followed_C = np.empty(len(followers_C), dtype=np.int32)
    _core.counts_followed(begins_C, code_N, value_of_code, followed_C)
    single_V = value_of_code[code_N[:vocab_size]].astype(np.float64) + 1.0
    return Counts(
        token_N=token_N.astype(np.uint16, copy=False),
        code_N=np.ascontiguousarray(code_N),
        count_of_code=count_of_code,
        first_C=begins_C,
        followed_C=followed_C,
        unigram_V=(single_V * SCALE / single_V.sum()).astype(np.float32),
        discount_O=discount_O,
        spread_O=spread_O,
        spread_floor_O=spread_floor_O,
    )


def _steps(counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    token_N = counts.token_N.astype(np.int64)
    first_C = counts.first_C.astype(np.int64)
    step_N = np.diff(token_N, prepend=0)
    begins = first_C[:-1][np.diff(first_C) > 0]
    step_N[begins] = token_N[begins]
    return step_N, np.diff(first_C)
