"""Hashes of the last two and three tokens: rows of the n-gram memory.

Pure integer arithmetic modulo 2^32, the same in training, in the torch engine
and in the compiled loop. Changing anything here changes every model's output.
"""

import numpy as np
from numpy.typing import NDArray

MULTIPLIER_A = 0x9E3779B1
MULTIPLIER_B = 0x85EBCA6B
MULTIPLIER_C = 0xC2B2AE35
MULTIPLIER_MIX = 0x27D4EB2F
MASK_32 = 0xFFFFFFFF


def _mix(hash_N: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    hash_N = hash_N & np.uint64(MASK_32)
    hash_N = ((hash_N ^ (hash_N >> np.uint64(15))) * np.uint64(MULTIPLIER_MIX)) & np.uint64(MASK_32)
    return (hash_N >> np.uint64(32 - bits)).astype(np.int64)


def bigram_rows(previous_N: NDArray[np.integer], current_N: NDArray[np.integer], bits: int) -> NDArray[np.int64]:
    """Row of (previous, current) in a table of 2**bits rows."""
    hash_N = previous_N.astype(np.uint64) * np.uint64(MULTIPLIER_A)
    hash_N = hash_N + current_N.astype(np.uint64) * np.uint64(MULTIPLIER_B)
    return _mix(hash_N, bits)


def trigram_rows(
    second_N: NDArray[np.integer],
    previous_N: NDArray[np.integer],
    current_N: NDArray[np.integer],
    bits: int,
) -> NDArray[np.int64]:
    """Row of (second last, previous, current) in a table of 2**bits rows."""
    hash_N = second_N.astype(np.uint64) * np.uint64(MULTIPLIER_C)
    hash_N = hash_N + previous_N.astype(np.uint64) * np.uint64(MULTIPLIER_A)
    hash_N = hash_N + current_N.astype(np.uint64) * np.uint64(MULTIPLIER_B)
    return _mix(hash_N, bits)
