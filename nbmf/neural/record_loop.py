"""Whole records: tokens to a stream and back, network, adaptation and range coder joined.

Compiled. Both directions run the same functions in the same order on the same integers; the
decoder has nothing but the stream, the type of the record and its length in bytes.
"""

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.adaptation import (
    Constants,
    Memory,
    copy_gate,
    copy_token,
    copy_trust,
    fill_frequencies,
    find_contexts,
    gate,
    learn,
    mix_weights,
    token_probabilities,
)
from nbmf.neural.coder import (
    decode_advance,
    decode_target,
    encode_symbol,
    finish_encoder,
    start_decoder,
    start_encoder,
)
from nbmf.neural.compiled import Network, Scratch, next_frequencies
from nbmf.neural.jit import compiled
from nbmf.neural.scalars import Real, Whole
from nbmf.neural.weights import FREQUENCY_PEAK

BLOCK = 64  # symbols whose frequencies are summed at once in the search for the decoded one


@compiled
def _mix(
    memory: Memory,
    constants: Constants,
    network_V: NDArray[np.int32],
    network_total: Whole,
    mixed_V: NDArray[np.int32],
) -> tuple[Whole, Whole, Whole, Real]:
    """Frequencies for the next token into `mixed_V`; their sum, both gates, the copy's trust."""
    find_contexts(memory)
    whole = np.float64(network_total)
    copied = copy_token(memory)
    likely: Real = 0.0
    trust: Real = 0.0
    if copied >= 0:
        likely = np.float64(network_V[copied]) / whole
        trust = copy_trust(memory, constants, likely)
    situation = gate(memory, np.float64(FREQUENCY_PEAK) / whole)
    copying = copy_gate(memory, likely)
    mix_weights(memory, situation, copying)
    total = fill_frequencies(memory, constants, network_V, network_total, trust, mixed_V)
    return total, situation, copying, trust


@compiled
def _sum_before(frequency_V: NDArray[np.int32], token: Whole) -> Whole:
    before = np.int64(0)
    for symbol in range(token):
        before += frequency_V[symbol]
    return before


@compiled
def _find_symbol(frequency_V: NDArray[np.int32], target: Whole) -> tuple[Whole, Whole]:
    """The symbol whose interval holds `target`, and the sum of the frequencies before it."""
    symbol, before = 0, np.int64(0)
    while symbol + BLOCK <= len(frequency_V):
        block = np.int64(0)
        for offset in range(BLOCK):
            block += frequency_V[symbol + offset]
        if before + block > target:
            break
        before += block
        symbol += BLOCK
    while before + frequency_V[symbol] <= target:
        before += frequency_V[symbol]
        symbol += 1
    return symbol, before


@compiled
def encode_record(
    network: Network,
    scratch: Scratch,
    constants: Constants,
    memory: Memory,
    type_id: int,
    tokens_T: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """Token by token with the compiled network."""
    vocab_size = len(network.head_VD)
    network_V = np.zeros(vocab_size, dtype=np.int32)
    mixed_V = np.zeros(vocab_size, dtype=np.int32)
    state, out = start_encoder(), np.zeros(5 * len(tokens_T) + 16, dtype=np.uint8)
    last = type_id
    for token in tokens_T:
        network_total = next_frequencies(network, scratch, last, network_V)
        total, situation, copying, trust = _mix(memory, constants, network_V, network_total, mixed_V)
        encode_symbol(state, out, _sum_before(mixed_V, token), mixed_V[token], total)
        share = np.float64(network_V[token]) / np.float64(network_total)
        token_probabilities(memory, constants, token, share, trust)
        learn(memory, constants, token, situation, copying)
        last = token
    return out[: finish_encoder(state, out)]


@compiled
def encode_frequencies(
    network_TV: NDArray[np.int32],
    constants: Constants,
    memory: Memory,
    tokens_T: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """The same stream from frequencies worked out before, by whichever engine."""
    mixed_V = np.zeros(network_TV.shape[1], dtype=np.int32)
    state, out = start_encoder(), np.zeros(5 * len(tokens_T) + 16, dtype=np.uint8)
    for position, token in enumerate(tokens_T):
        network_V = network_TV[position]
        network_total = np.int64(0)
        for symbol in range(len(network_V)):
            network_total += network_V[symbol]
        total, situation, copying, trust = _mix(memory, constants, network_V, network_total, mixed_V)
        encode_symbol(state, out, _sum_before(mixed_V, token), mixed_V[token], total)
        share = np.float64(network_V[token]) / np.float64(network_total)
        token_probabilities(memory, constants, token, share, trust)
        learn(memory, constants, token, situation, copying)
    return out[: finish_encoder(state, out)]


@compiled
def decode_record(
    network: Network,
    scratch: Scratch,
    constants: Constants,
    memory: Memory,
    type_id: int,
    stream: NDArray[np.uint8],
    token_lengths_V: NDArray[np.int32],
    n_bytes: int,
    tokens_T: NDArray[np.int32],
) -> int:
    """Tokens into `tokens_T` (of n_bytes entries) until they hold `n_bytes` bytes; their number.

    Returns -1 when the last token would go beyond: the stream is damaged.
    """
    vocab_size = len(network.head_VD)
    network_V = np.zeros(vocab_size, dtype=np.int32)
    mixed_V = np.zeros(vocab_size, dtype=np.int32)
    state = start_decoder(stream)
    last: Whole = type_id
    count, decoded = 0, 0
    while decoded < n_bytes:
        network_total = next_frequencies(network, scratch, last, network_V)
        total, situation, copying, trust = _mix(memory, constants, network_V, network_total, mixed_V)
        token, before = _find_symbol(mixed_V, decode_target(state, total))
        decode_advance(state, stream, before, mixed_V[token], total)
        share = np.float64(network_V[token]) / np.float64(network_total)
        token_probabilities(memory, constants, token, share, trust)
        learn(memory, constants, token, situation, copying)
        tokens_T[count] = token
        count += 1
        decoded += token_lengths_V[token]
        last = token
    return count if decoded == n_bytes else -1
