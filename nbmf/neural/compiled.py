"""The integer network as one compiled loop: tokens in, the frequencies of the next tokens out.

The same function of the tokens as torch_engine.py, bit for bit: exact products (dot.py), and between
them loops over whole vectors that the compiler can vectorise. No fastmath: every float operation is one
IEEE 754 operation, as written. The tokens of one step belong to as many records, or follow each other
in one; the weights are read once for all of them.

Shape suffixes: see network.py.
"""

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.dot import LANES, digit_products, put_column, put_row, row_products
from nbmf.neural.hashing import (
    MASK_32,
    MULTIPLIER_A,
    MULTIPLIER_B,
    MULTIPLIER_C,
    MULTIPLIER_MIX,
)
from nbmf.neural.jit import inlined, uncounted
from nbmf.neural.network import (
    AROUND,
    BEGIN,
    BIGRAM_BITS,
    END,
    FIRST,
    HEADS,
    LAST,
    PADDING,
    PLACE,
    TRIGRAM_BITS,
    VOCABULARY,
    WINDOW,
    Cache,
    Network,
    Scratch,
)
from nbmf.neural.scalars import Real, Whole
from nbmf.neural.weights import INT8_LIMIT, RESIDUAL_LIMIT

_HALF = np.float32(0.5)
_LIMIT = np.float32(INT8_LIMIT)


@uncounted
def start_record(network: Network, cache: Cache, slot: Whole) -> None:
    """Forget what was in a slot."""
    cache.position_S[slot] = 0
    cache.tokens_S2[slot, 0] = cache.tokens_S2[slot, 1] = network.sizes[PADDING]
    shifted_LD = cache.shifted_SLD[slot]
    for layer in range(len(shifted_LD)):
        for d in range(shifted_LD.shape[1]):
            shifted_LD[layer, d] = 0


@uncounted
def next_frequencies(network: Network, cache: Cache, scratch: Scratch, count: Whole) -> None:
    """Take in the first `count` of scratch.token_B, each in its slot, in order; into frequency_BV and total_B.

    All of different slots, or up to as many of one as the cache was made for.
    """
    for b in range(count):
        _embed(network, cache, scratch, b)
    _add_products(scratch, count, network.memory_in_DM, network.memory_in_scale_D, scratch.memory_BM)
    for layer in range(len(network.expand_LFD)):
        for b in range(count):
            y_D, shifted_D = scratch.y_BD[b], cache.shifted_SLD[scratch.slot_B[b], layer]
            _norm(scratch.x_BD[b], network.norm_factor_N[2 * layer], y_D)
            for d in range(len(shifted_D)):
                shifted_D[d], y_D[d] = y_D[d], shifted_D[d]
        _project(network, scratch, layer, count)
        for b in range(count):
            _keep(network, cache, scratch, layer, b)
        _attend(network, cache, scratch, layer, count)
        out, scale = network.attention_out_LDD[layer], network.attention_out_scale_LD[layer]
        _add_products(scratch, count, out, scale, scratch.y_BD)
        for b in range(count):
            _norm(scratch.x_BD[b], network.norm_factor_N[2 * layer + 1], scratch.y_BD[b])
        _feed_forward(network, scratch, layer, count)
    for b in range(count):
        _norm(scratch.x_BD[b], network.norm_factor_N[len(network.norm_factor_N) - 1], scratch.y_BD[b])
    _head(network, scratch, count)


@uncounted
def _round_int8(value: np.float32) -> np.int8:
    rounded = np.floor(value + _HALF)
    return np.int8(min(max(rounded, -_LIMIT), _LIMIT))


@uncounted
def _mix_hash(value: np.uint64, bits: Whole) -> np.int64:
    value = value & np.uint64(MASK_32)
    value = ((value ^ (value >> np.uint64(15))) * np.uint64(MULTIPLIER_MIX)) & np.uint64(MASK_32)
    return np.int64(value >> np.uint64(32 - bits))


@inlined
def _add_products(
    scratch: Scratch, count: Whole, weight: NDArray[np.uint8], scale: NDArray[np.float32], y_BK: NDArray[np.int8]
) -> None:
    """Products of a matrix onto the residual x."""
    row_products(weight, y_BK, count, 0, len(weight), scratch.product_BR, scratch.products)
    for b in range(count):
        x_D, product_R = scratch.x_BD[b], scratch.product_BR[b]
        for d in range(len(x_D)):
            update = np.floor(np.float32(product_R[d]) * scale[d] + _HALF)
            total = np.int32(x_D[d] + np.int32(update))
            x_D[d] = min(max(total, np.int32(-RESIDUAL_LIMIT)), np.int32(RESIDUAL_LIMIT))


@inlined
def _norm(x_D: NDArray[np.int32], norm_factor: Real, y_D: NDArray[np.int8]) -> None:
    squares = np.int64(0)
    for d in range(len(x_D)):
        squares += np.int64(x_D[d]) * np.int64(x_D[d])
    factor = np.float32(norm_factor / np.sqrt(np.float64(squares) + 1.0))
    for d in range(len(x_D)):
        y_D[d] = _round_int8(np.float32(x_D[d]) * factor)


@inlined
def _embed(network: Network, cache: Cache, scratch: Scratch, b: Whole) -> None:
    """The token's embedding into x, the table rows of its n-grams into memory, its position's turns."""
    slot, token = scratch.slot_B[b], scratch.token_B[b]
    tokens_2 = cache.tokens_S2[slot]
    previous, second = np.uint64(tokens_2[1]), np.uint64(tokens_2[0])
    hashed = previous * np.uint64(MULTIPLIER_A) + np.uint64(token) * np.uint64(MULTIPLIER_B)
    bigram = _mix_hash(hashed, network.sizes[BIGRAM_BITS])
    hashed = second * np.uint64(MULTIPLIER_C) + hashed
    trigram = _mix_hash(hashed, network.sizes[TRIGRAM_BITS])
    tokens_2[0] = tokens_2[1]
    tokens_2[1] = token
    memory_M, half = scratch.memory_BM[b], network.bigram_RM.shape[1]
    for m in range(half):
        memory_M[m] = network.bigram_RM[bigram, m]
        memory_M[half + m] = network.trigram_RM[trigram, m]
    x_D, scale = scratch.x_BD[b], network.embedding_scale_I[token]
    for d in range(len(x_D)):
        x_D[d] = np.int32(np.floor(np.float32(network.embedding_ID[token, d]) * scale + _HALF))
    position = cache.position_S[slot]
    cache.position_S[slot] = position + 1
    _span(network, cache, scratch, b, position)
    period = len(network.rotary_cos_P)
    for pair in range(len(network.rotary_turns_K)):
        turns = (position * network.rotary_turns_K[pair]) % period
        scratch.cosine_BK[b, pair] = network.rotary_cos_P[turns]
        scratch.sine_BK[b, pair] = network.rotary_cos_P[(turns - period // 4) % period]


@inlined
def _span(network: Network, cache: Cache, scratch: Scratch, b: Whole, position: Whole) -> None:
    """Which places of the ring a token sees: a stretch or, where the ring goes around, two; and whole blocks of it."""
    C = cache.keys_SLHCK.shape[3]
    seen = min(position + 1, network.sizes[WINDOW])
    place = position % C
    begin, end, around = max(place + 1 - seen, 0), place + 1, max(seen - place - 1, 0)
    if seen == C:
        begin, end, around = 0, C, 0
    span = scratch.span_B6[b]
    span[PLACE], span[BEGIN], span[END], span[AROUND] = place, begin, end, around
    span[FIRST], span[LAST] = (0, C) if around else (begin // LANES * LANES, -(-end // LANES) * LANES)


@inlined
def _project(network: Network, scratch: Scratch, layer: Whole, count: Whole) -> None:
    """Queries, keys and values of all heads, not yet turned, from y."""
    weight, scale = network.query_key_value_LED[layer], network.query_key_value_scale_LE[layer]
    row_products(weight, scratch.y_BD, count, 0, len(weight), scratch.product_BR, scratch.products)
    for b in range(count):
        scaled_E, product_R = scratch.scaled_BE[b], scratch.product_BR[b]
        for row in range(len(scaled_E)):
            scaled_E[row] = np.float32(product_R[row]) * scale[row]


@inlined
def _turned(
    scaled_K: NDArray[np.float32], cosine_K: NDArray[np.float32], sine_K: NDArray[np.float32], out_K: NDArray[np.int8]
) -> None:
    """A query or key, turned by its position."""
    half = len(cosine_K)
    for pair in range(half):
        first, second = scaled_K[pair], scaled_K[half + pair]
        out_K[pair] = _round_int8(first * cosine_K[pair] - second * sine_K[pair])
        out_K[half + pair] = _round_int8(second * cosine_K[pair] + first * sine_K[pair])


@inlined
def _keep(network: Network, cache: Cache, scratch: Scratch, layer: Whole, b: Whole) -> None:
    """Key and value of a token into the cache."""
    scaled_E, value_K = scratch.scaled_BE[b], scratch.value_K
    D, slot = len(scaled_E) // 3, scratch.slot_B[b]
    K = D // network.sizes[HEADS]
    keys_HCK, values_HKC = cache.keys_SLHCK[slot, layer], cache.values_SLHKC[slot, layer]
    place = scratch.span_B6[b, PLACE]
    for head in range(len(keys_HCK)):
        begin = D + head * K
        _turned(scaled_E[begin : begin + K], scratch.cosine_BK[b], scratch.sine_BK[b], value_K)
        put_row(keys_HCK[head], place, value_K[: keys_HCK.shape[2]])
        begin = 2 * D + head * K
        for k in range(K):
            value_K[k] = _round_int8(scaled_E[begin + k])
        put_column(values_HKC[head], place, value_K)


@inlined
def _attend(network: Network, cache: Cache, scratch: Scratch, layer: Whole, count: Whole) -> None:
    """What the tokens' queries find in the cache, into y. Stage by stage, as each waits for the one before."""
    query_BK, score_BC, digit_B2C, mixed_B2K = scratch.query_BK, scratch.score_BC, scratch.digit_B2C, scratch.mixed_B2K
    span_B6, slot_B, table = scratch.span_B6, scratch.slot_B, network.attention_exp
    K = scratch.scaled_BE.shape[1] // 3 // network.sizes[HEADS]
    C = score_BC.shape[1]
    for head in range(network.sizes[HEADS]):
        for b in range(count):
            _turned(
                scratch.scaled_BE[b, head * K : (head + 1) * K], scratch.cosine_BK[b], scratch.sine_BK[b], query_BK[b]
            )
        b = 0
        while b < count:
            following, first, last = b + 1, span_B6[b, FIRST], span_B6[b, LAST]
            while following < count and slot_B[following] == slot_B[b]:
                first = min(first, span_B6[following, FIRST])
                last = max(last, span_B6[following, LAST])
                following += 1
            keys_CK = cache.keys_SLHCK[slot_B[b], layer, head]
            row_products(
                keys_CK, query_BK[b:following], following - b, first, last, score_BC[b:following], scratch.products
            )
            b = following
        scale = network.index_scale_LH[layer, head]
        for b in range(count):
            begin, end, around = span_B6[b, BEGIN], span_B6[b, END], span_B6[b, AROUND]
            score_C, low_C, high_C = score_BC[b], digit_B2C[b, 0], digit_B2C[b, 1]
            best = max(_highest(score_C[begin:end]), _highest(score_C[C - around :]))
            total = _weigh(table, score_C[begin:end], best, scale, low_C[begin:end], high_C[begin:end])
            if around:
                total += _weigh(table, score_C[C - around :], best, scale, low_C[C - around :], high_C[C - around :])
            for c in range(span_B6[b, FIRST], begin):
                low_C[c] = high_C[c] = 0
            for c in range(end, span_B6[b, LAST] - around):
                low_C[c] = high_C[c] = 0
            scratch.factor_B[b] = network.value_scale_LH[layer, head] / np.float32(total)
        for b in range(count):
            values_KC = cache.values_SLHKC[slot_B[b], layer, head]
            first, last = span_B6[b, FIRST], span_B6[b, LAST]
            digit_products(values_KC, digit_B2C[b], first, last, mixed_B2K[b], scratch.products)
        for b in range(count):
            out_K, low_K, high_K, factor = (
                scratch.y_BD[b, head * K : (head + 1) * K],
                mixed_B2K[b, 0],
                mixed_B2K[b, 1],
                scratch.factor_B[b],
            )
            for k in range(len(out_K)):
                out_K[k] = _round_int8(np.float32(np.int32(low_K[k] + np.int32(256) * high_K[k])) * factor)


@inlined
def _highest(score_C: NDArray[np.int32]) -> np.int32:
    best = np.int32(-(1 << 31))
    for c in range(len(score_C)):
        best = max(best, score_C[c])
    return best


@inlined
def _weigh(
    attention_exp: NDArray[np.int32],
    score_C: NDArray[np.int32],
    best: Whole,
    scale: Real,
    low_C: NDArray[np.uint8],
    high_C: NDArray[np.uint8],
) -> Whole:
    """Weights of the scores, as two bytes each; their sum. One thing at a time: each loop is a vector loop."""
    last = np.float32(len(attention_exp) - 1)
    for c in range(len(score_C)):
        index = np.float32(np.int32(best - score_C[c])) * scale
        score_C[c] = np.int32(min(index, last))
    for c in range(len(score_C)):
        score_C[c] = attention_exp[np.uint32(score_C[c])]  # without sign: an index that needs no check
    total = np.int64(0)
    for c in range(len(score_C)):
        total += score_C[c]
    for c in range(len(score_C)):
        low_C[c] = score_C[c] & 255
    for c in range(len(score_C)):
        high_C[c] = score_C[c] >> 8
    return total


@inlined
def _feed_forward(network: Network, scratch: Scratch, layer: Whole, count: Whole) -> None:
    weight, scale = network.expand_LFD[layer], network.expand_scale_LF[layer]
    row_products(weight, scratch.y_BD, count, 0, len(weight), scratch.product_BR, scratch.products)
    for b in range(count):
        hidden_F, product_R = scratch.hidden_BF[b], scratch.product_BR[b]
        for row in range(len(scale)):
            value = max(np.float32(product_R[row]) * scale[row], np.float32(0))
            hidden_F[row] = _round_int8(value * value)
    contract, scale = network.contract_LDF[layer], network.contract_scale_LD[layer]
    _add_products(scratch, count, contract, scale, scratch.hidden_BF)


@inlined
def _head(network: Network, scratch: Scratch, count: Whole) -> None:
    row_products(network.head_VD, scratch.y_BD, count, 0, len(network.head_VD), scratch.frequency_BV, scratch.products)
    last = np.int32(len(network.frequency_exp) - 1)
    vocab_size = network.sizes[VOCABULARY]
    for b in range(count):
        value_V = scratch.frequency_BV[b]  # products, then logits, then frequencies
        best = np.int32(-(1 << 30))
        for v in range(vocab_size):
            logit = np.int32(np.floor(np.float32(value_V[v]) * network.head_scale_V[v] + _HALF))
            value_V[v] = logit
            best = max(best, logit)
        for v in range(vocab_size):
            value_V[v] = network.frequency_exp[np.uint32(min(np.int32(best - value_V[v]), last))]
        total = np.int64(0)
        for v in range(vocab_size):
            total += value_V[v]
        scratch.total_B[b] = total
