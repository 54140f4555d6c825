"""Whole records: tokens to a stream and back, prediction, adaptation and range coder joined.

Compiled. Both directions run the same functions in the same order on the same integers; the
decoder has nothing but the stream, the type of the record and its length in bytes. Encoding takes
the network through many tokens of one record at once; decoding through the next of many records.

Shape suffixes: S slots (records in work), B tokens taken in at once, N records, V vocabulary.
"""

from typing import NamedTuple

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
    memory_of,
    mix_weights,
    start_memory,
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
from nbmf.neural.compiled import next_frequencies, start_record
from nbmf.neural.jit import compiled, inlined, uncounted
from nbmf.neural.network import Cache, Scratch
from nbmf.neural.prediction import Predictor, predict
from nbmf.neural.scalars import Real, Whole

BLOCK = 64  # symbols whose frequencies are summed at once in the search for the decoded one


@inlined
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


@inlined
def _sum_before(frequency_V: NDArray[np.int32], token: Whole) -> Whole:
    before = np.int64(0)
    for symbol in range(token):
        before += frequency_V[symbol]
    return before


@inlined
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


class Work(NamedTuple):
    """What is known of the records in work, and work space. Without a network, its cache has no positions."""

    cache: Cache
    scratch: Scratch
    memories: Memory
    contexts_SO: NDArray[np.int64]
    counts_V: NDArray[np.int32]
    base_V: NDArray[np.int32]
    mixed_V: NDArray[np.int32]


class Blobs(NamedTuple):
    """Records to decode, one behind the other, and what came of them."""

    stream_X: NDArray[np.uint8]
    stream_begin_N: NDArray[np.int64]  # [N + 1]
    type_N: NDArray[np.int64]
    n_bytes_N: NDArray[np.int64]
    token_begin_N: NDArray[np.int64]
    tokens_X: NDArray[np.int32]  # a place for each byte
    count_N: NDArray[np.int64]  # tokens of each; -1: the last would go beyond its length, so the stream is damaged


class Slots(NamedTuple):
    """Where the decoder is in the record of each slot."""

    record_S: NDArray[np.int64]  # -1: the slot is free
    last_S: NDArray[np.int64]
    count_S: NDArray[np.int64]
    decoded_S: NDArray[np.int64]  # bytes
    state_S4: NDArray[np.uint64]


def new_slots(count: int) -> Slots:
    """All free."""
    whole = np.zeros(count, dtype=np.int64)
    return Slots(whole - 1, whole.copy(), whole.copy(), whole.copy(), np.zeros((count, 4), dtype=np.uint64))


@uncounted
def start_slot(predictor: Predictor, constants: Constants, work: Work, slot: Whole) -> None:
    """Make a slot ready for another record."""
    start_memory(memory_of(work.memories, slot), constants)
    contexts_O = work.contexts_SO[slot]
    for order in range(len(contexts_O)):
        contexts_O[order] = -1
    if len(predictor.network.head_VD):
        start_record(predictor.network, work.cache, slot)


@uncounted
def encode_tokens(
    state: State,
    out: Bytes,
    predictor: Predictor,
    constants: Constants,
    work: Work,
    network_BV: NDArray[np.int32],
    total_B: NDArray[np.int64],
    last: Whole,
    tokens_B: NDArray[np.int32],
) -> Whole:
    """Goes on with the record of slot 0; the network's frequencies are worked out, by whichever engine."""
    memory, contexts, base_V, mixed_V = memory_of(work.memories, 0), work.contexts_SO[0], work.base_V, work.mixed_V
    for b in range(len(tokens_B)):
        token = tokens_B[b]
        base_total, confidence = predict(predictor, contexts, last, network_BV[b], total_B[b], work.counts_V, base_V)
        total, situation, copying, trust = _mix(memory, constants, base_V, base_total, confidence, mixed_V)
        encode_symbol(state, out, _sum_before(mixed_V, token), mixed_V[token], total)
        share = np.float64(base_V[token]) / np.float64(base_total)
        token_probabilities(memory, constants, token, share, trust)
        learn(memory, constants, token, situation, copying)
        last = np.int64(token)
    return last


@compiled
def encode_record(
    predictor: Predictor, constants: Constants, work: Work, type_id: int, tokens_T: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """The stream of a record, in slot 0."""
    start_slot(predictor, constants, work, 0)
    scratch = work.scratch
    state, out = np.zeros(4, dtype=np.uint64), np.zeros(5 * len(tokens_T) + 16, dtype=np.uint8)
    start_encoder(state)
    before: Whole = np.int64(type_id)
    last: Whole = before
    at_once = len(scratch.slot_B)
    for begin in range(0, len(tokens_T), at_once):
        tokens_B = tokens_T[begin : begin + at_once]
        if len(predictor.network.head_VD):
            for b in range(len(tokens_B)):
                scratch.slot_B[b], scratch.token_B[b] = 0, before
                before = np.int64(tokens_B[b])
            next_frequencies(predictor.network, work.cache, scratch, len(tokens_B))
        last = encode_tokens(
            state, out, predictor, constants, work, scratch.frequency_BV, scratch.total_B, last, tokens_B
        )
    return out[: finish_encoder(state, out)]


@compiled
def encode_predicted(
    predictor: Predictor,
    constants: Constants,
    work: Work,
    network_TV: NDArray[np.int32],
    type_id: int,
    tokens_T: NDArray[np.int32],
) -> NDArray[np.uint8]:
    """The same from the network's frequencies after each token."""
    start_slot(predictor, constants, work, 0)
    total_T = np.zeros(len(tokens_T), dtype=np.int64)
    for position in range(len(tokens_T)):
        for symbol in range(network_TV.shape[1]):
            total_T[position] += network_TV[position, symbol]
    state, out = np.zeros(4, dtype=np.uint64), np.zeros(5 * len(tokens_T) + 16, dtype=np.uint8)
    start_encoder(state)
    encode_tokens(state, out, predictor, constants, work, network_TV, total_T, np.int64(type_id), tokens_T)
    return out[: finish_encoder(state, out)]


@uncounted
def start_decoding(
    predictor: Predictor, constants: Constants, work: Work, slots: Slots, blobs: Blobs, slot: Whole, record: Whole
) -> None:
    """Put a record into a slot."""
    start_slot(predictor, constants, work, slot)
    stream = blobs.stream_X[blobs.stream_begin_N[record] : blobs.stream_begin_N[record + 1]]
    start_decoder(slots.state_S4[slot], stream)
    slots.record_S[slot] = record
    slots.last_S[slot] = blobs.type_N[record]
    slots.count_S[slot] = 0
    slots.decoded_S[slot] = 0


@uncounted
def decode_tokens(
    predictor: Predictor,
    constants: Constants,
    work: Work,
    slots: Slots,
    blobs: Blobs,
    token_lengths_V: NDArray[np.int32],
    slot_B: NDArray[np.int64],
    network_BV: NDArray[np.int32],
    total_B: NDArray[np.int64],
) -> None:
    """The next token of the record in each of some slots; a slot whose record ends with it is free."""
    base_V, mixed_V = work.base_V, work.mixed_V
    for b in range(len(slot_B)):
        slot = slot_B[b]
        record, memory, state = slots.record_S[slot], memory_of(work.memories, slot), slots.state_S4[slot]
        base_total, confidence = predict(
            predictor, work.contexts_SO[slot], slots.last_S[slot], network_BV[b], total_B[b], work.counts_V, base_V
        )
        total, situation, copying, trust = _mix(memory, constants, base_V, base_total, confidence, mixed_V)
        token, before = _find_symbol(mixed_V, decode_target(state, total))
        stream = blobs.stream_X[blobs.stream_begin_N[record] : blobs.stream_begin_N[record + 1]]
        decode_advance(state, stream, before, mixed_V[token], total)
        share = np.float64(base_V[token]) / np.float64(base_total)
        token_probabilities(memory, constants, token, share, trust)
        learn(memory, constants, token, situation, copying)
        blobs.tokens_X[blobs.token_begin_N[record] + slots.count_S[slot]] = token
        slots.last_S[slot] = token
        slots.count_S[slot] += 1
        slots.decoded_S[slot] += token_lengths_V[token]
        if slots.decoded_S[slot] >= blobs.n_bytes_N[record]:
            whole = slots.decoded_S[slot] == blobs.n_bytes_N[record]
            blobs.count_N[record] = slots.count_S[slot] if whole else -1
            slots.record_S[slot] = -1


@compiled
def decode_records(
    predictor: Predictor,
    constants: Constants,
    work: Work,
    slots: Slots,
    blobs: Blobs,
    token_lengths_V: NDArray[np.int32],
) -> None:
    """All records, none of them empty: as many side by side as there are slots, the next when one has ended."""
    scratch, following = work.scratch, np.int64(0)
    while True:
        count = np.int64(0)
        for slot in range(len(slots.record_S)):
            if slots.record_S[slot] < 0 and following < len(blobs.n_bytes_N):
                start_decoding(predictor, constants, work, slots, blobs, slot, following)
                following += 1
            if slots.record_S[slot] >= 0:
                scratch.slot_B[count], scratch.token_B[count] = slot, slots.last_S[slot]
                count += 1
        if count == 0:
            return
        if len(predictor.network.head_VD):
            next_frequencies(predictor.network, work.cache, scratch, count)
        decode_tokens(
            predictor, constants, work, slots, blobs, token_lengths_V,
            scratch.slot_B[:count], scratch.frequency_BV, scratch.total_B,
        )  # fmt: skip
