"""Whole records: tokens to a stream and back, prediction, adaptation and range coder joined.

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
    Bytes,
    State,
    decode_advance,
    decode_target,
    encode_symbol,
    finish_encoder,
    start_decoder,
    start_encoder,
)
from nbmf.neural.jit import compiled
from nbmf.neural.prediction import Prediction, Predictor, join_counts, predict
from nbmf.neural.scalars import Real, Whole

BLOCK = 64  # symbols whose frequencies are summed at once in the search for the decoded one


@compiled
def _mix(
    memory: Memory,
    constants: Constants,
    base_V: NDArray[np.int32],
    base_total: Whole,
    confidence: Real,
    mixed_V: NDArray[np.int32],
) -> tuple[Whole, Whole, Whole, Real]:
    """Frequencies for the next token into `mixed_V`; their sum, both gates, the copy's trust."""
    find_contexts(memory)
    copied = copy_token(memory)
    likely: Real = 0.0
    trust: Real = 0.0
    if copied >= 0:
        likely = np.float64(base_V[copied]) / np.float64(base_total)
        trust = copy_trust(memory, constants, likely)
    situation = gate(memory, confidence)
    copying = copy_gate(memory, likely)
    mix_weights(memory, situation, copying)
    total = fill_frequencies(memory, constants, base_V, base_total, trust, mixed_V)
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
def _encode_token(
    state: State,
    out: Bytes,
    memory: Memory,
    constants: Constants,
    base_V: NDArray[np.int32],
    base_total: Whole,
    confidence: Real,
    mixed_V: NDArray[np.int32],
    token: Whole,
) -> None:
    total, situation, copying, trust = _mix(memory, constants, base_V, base_total, confidence, mixed_V)
    encode_symbol(state, out, _sum_before(mixed_V, token), mixed_V[token], total)
    share = np.float64(base_V[token]) / np.float64(base_total)
    token_probabilities(memory, constants, token, share, trust)
    learn(memory, constants, token, situation, copying)


@compiled
def encode_record(
    predictor: Predictor,
    prediction: Prediction,
    constants: Constants,
    memory: Memory,
    type_id: int,
    tokens_T: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """Token by token."""
    base_V = prediction.base_V
    mixed_V = np.zeros(len(base_V), dtype=np.int32)
    state, out = start_encoder(), np.zeros(5 * len(tokens_T) + 16, dtype=np.uint8)
    last = type_id
    for token in tokens_T:
        total, confidence = predict(predictor, prediction, last)
        _encode_token(state, out, memory, constants, base_V, total, confidence, mixed_V, token)
        last = token
    return out[: finish_encoder(state, out)]


@compiled
def encode_frequencies(
    network_TV: NDArray[np.int32],
    predictor: Predictor,
    prediction: Prediction,
    constants: Constants,
    memory: Memory,
    type_id: int,
    tokens_T: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """The same stream from the network's frequencies worked out before, by whichever engine."""
    base_V = prediction.base_V
    mixed_V = np.zeros(len(base_V), dtype=np.int32)
    state, out = start_encoder(), np.zeros(5 * len(tokens_T) + 16, dtype=np.uint8)
    last = type_id
    for position, token in enumerate(tokens_T):
        network_V = network_TV[position]
        network_total = np.int64(0)
        for symbol in range(len(network_V)):
            network_total += network_V[symbol]
        total, confidence = join_counts(predictor, prediction, network_V, network_total, last)
        _encode_token(state, out, memory, constants, base_V, total, confidence, mixed_V, token)
        last = token
    return out[: finish_encoder(state, out)]


@compiled
def decode_record(
    predictor: Predictor,
    prediction: Prediction,
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
    base_V = prediction.base_V
    mixed_V = np.zeros(len(base_V), dtype=np.int32)
    state = start_decoder(stream)
    last: Whole = type_id
    count, decoded = 0, 0
    while decoded < n_bytes:
        base_total, confidence = predict(predictor, prediction, last)
        total, situation, copying, trust = _mix(memory, constants, base_V, base_total, confidence, mixed_V)
        token, before = _find_symbol(mixed_V, decode_target(state, total))
        decode_advance(state, stream, before, mixed_V[token], total)
        share = np.float64(base_V[token]) / np.float64(base_total)
        token_probabilities(memory, constants, token, share, trust)
        learn(memory, constants, token, situation, copying)
        tokens_T[count] = token
        count += 1
        decoded += token_lengths_V[token]
        last = token
    return count if decoded == n_bytes else -1
