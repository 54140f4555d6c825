"""The integer network as one compiled loop: a token in, the next token's frequencies out.

The same function of the tokens as torch_engine.py, bit for bit, written for one record on one
core: exact products (dot.py), and between them loops over whole vectors that the compiler can
vectorise. No fastmath: every float operation is one IEEE 754 operation, as written.

Shape suffixes: V vocabulary, I input ids, D d_model, E 3 * d_model, F d_feed_forward, H heads,
K d_head, M d_memory, L layers, W window, P rotary period.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.config import NeuralConfig
from nbmf.neural.dot import OFFSET, aligned, row_products, with_offset
from nbmf.neural.hashing import (
    MASK_32,
    MULTIPLIER_A,
    MULTIPLIER_B,
    MULTIPLIER_C,
    MULTIPLIER_MIX,
)
from nbmf.neural.jit import compiled
from nbmf.neural.scalars import Real, Whole
from nbmf.neural.weights import INT8_LIMIT, RESIDUAL_LIMIT, ROTARY_ONE, IntegerWeights

_HALF = np.float32(0.5)
_LIMIT = np.float32(INT8_LIMIT)


class Network(NamedTuple):
    """Weights in the layout of the loop; matrices of products with the offset of dot.py."""

    embedding_ID: NDArray[np.int8]
    embedding_scale_I: NDArray[np.float32]
    bigram_RM: NDArray[np.int8]
    trigram_RM: NDArray[np.int8]
    memory_in_DM: NDArray[np.uint8]
    memory_in_scale_D: NDArray[np.float32]
    query_key_value_LED: NDArray[np.uint8]
    query_key_value_scale_LE: NDArray[np.float32]
    attention_out_LDD: NDArray[np.uint8]
    attention_out_scale_LD: NDArray[np.float32]
    expand_LFD: NDArray[np.uint8]
    expand_scale_LF: NDArray[np.float32]
    contract_LDF: NDArray[np.uint8]
    contract_scale_LD: NDArray[np.float32]
    head_VD: NDArray[np.uint8]
    head_scale_V: NDArray[np.float32]
    norm_factor_N: NDArray[np.float64]
    index_scale_LH: NDArray[np.float32]
    value_scale_LH: NDArray[np.float32]
    attention_exp: NDArray[np.int32]
    frequency_exp: NDArray[np.int32]
    rotary_cos_P: NDArray[np.float32]
    rotary_turns_K: NDArray[np.int64]
    sizes: NDArray[np.int64]  # heads, bigram bits, trigram bits, window, shift, padding id


HEADS, BIGRAM_BITS, TRIGRAM_BITS, WINDOW, SHIFT, PADDING = range(6)


class Scratch(NamedTuple):
    """Key-value cache and work space of one record being stepped through."""

    keys_LHWK: NDArray[np.uint8]  # with the offset of dot.py
    values_LHWK: NDArray[np.int16]
    shifted_LD: NDArray[np.int8]
    tokens: NDArray[np.int64]  # the last two
    position: NDArray[np.int64]
    x_D: NDArray[np.int32]
    y_D: NDArray[np.int8]
    memory_M: NDArray[np.int8]
    product_R: NDArray[np.int32]  # of any matrix but the head
    scaled_E: NDArray[np.float32]
    query_D: NDArray[np.int8]
    cosine_K: NDArray[np.float32]  # [K/2]
    sine_K: NDArray[np.float32]
    hidden_F: NDArray[np.int8]
    score_W: NDArray[np.int32]
    mixed_K: NDArray[np.int32]
    logits_V: NDArray[np.int32]


def make_network(weights: IntegerWeights, config: NeuralConfig) -> Network:
    sizes = (
        config.n_heads,
        config.bigram_bits,
        config.trigram_bits,
        config.window,
        config.d_shift,
        config.padding_id,
    )
    owned = np.array  # loaded arrays are read-only, a type of its own to numba
    return Network(
        owned(weights.embedding_ID),
        owned(weights.embedding_scale_I),
        owned(weights.bigram_RM),
        owned(weights.trigram_RM),
        with_offset(weights.memory_in_DM),
        owned(weights.memory_in_scale_D),
        with_offset(weights.query_key_value_LED),
        owned(weights.query_key_value_scale_LE),
        with_offset(weights.attention_out_LDD),
        owned(weights.attention_out_scale_LD),
        with_offset(weights.expand_LFD),
        owned(weights.expand_scale_LF),
        with_offset(weights.contract_LDF),
        owned(weights.contract_scale_LD),
        with_offset(weights.head_VD),
        owned(weights.head_scale_V),
        owned(weights.norm_factor_N),
        owned(weights.attention_index_scale_LH),
        owned(weights.attention_value_scale_LH),
        owned(weights.attention_exp),
        owned(weights.frequency_exp),
        weights.rotary_cos_P.astype(np.float32) / np.float32(ROTARY_ONE),
        weights.rotary_turns_K.astype(np.int64),
        np.array(sizes, dtype=np.int64),
    )


NOTHING = NeuralConfig(
    vocab_size=0, d_model=0, n_layers=0, n_heads=1, d_feed_forward=0, d_memory=0, window=0, d_shift=0
)
"""Sizes for the work space of a version without a network."""


def no_network() -> Network:
    """Stands for a version without one: a network without rows."""
    types = {
        "embedding_ID": (np.int8, 2), "embedding_scale_I": (np.float32, 1), "bigram_RM": (np.int8, 2),
        "trigram_RM": (np.int8, 2), "memory_in_DM": (np.uint8, 2), "memory_in_scale_D": (np.float32, 1),
        "query_key_value_LED": (np.uint8, 3), "query_key_value_scale_LE": (np.float32, 2),
        "attention_out_LDD": (np.uint8, 3), "attention_out_scale_LD": (np.float32, 2), "expand_LFD": (np.uint8, 3),
        "expand_scale_LF": (np.float32, 2), "contract_LDF": (np.uint8, 3), "contract_scale_LD": (np.float32, 2),
        "head_VD": (np.uint8, 2), "head_scale_V": (np.float32, 1), "norm_factor_N": (np.float64, 1),
        "index_scale_LH": (np.float32, 2), "value_scale_LH": (np.float32, 2), "attention_exp": (np.int32, 1),
        "frequency_exp": (np.int32, 1), "rotary_cos_P": (np.float32, 1), "rotary_turns_K": (np.int64, 1),
        "sizes": (np.int64, 1),
    }  # fmt: skip
    return Network(**{name: np.zeros((0,) * ndim, dtype=dtype) for name, (dtype, ndim) in types.items()})


def new_scratch(config: NeuralConfig) -> Scratch:
    L, W, D = config.n_layers, config.window, config.d_model
    H, K = config.n_heads, config.d_head
    return Scratch(
        keys_LHWK=aligned((L, H, W, K)),
        values_LHWK=np.zeros((L, H, W, K), dtype=np.int16),
        shifted_LD=np.zeros((L, config.d_shift), dtype=np.int8),
        tokens=np.full(2, config.padding_id, dtype=np.int64),
        position=np.zeros(1, dtype=np.int64),
        x_D=np.zeros(D, dtype=np.int32),
        y_D=np.zeros(D, dtype=np.int8),
        memory_M=np.zeros(2 * config.d_memory, dtype=np.int8),
        product_R=np.zeros(max(3 * D, config.d_feed_forward), dtype=np.int32),
        scaled_E=np.zeros(3 * D, dtype=np.float32),
        query_D=np.zeros(D, dtype=np.int8),
        cosine_K=np.zeros(K // 2, dtype=np.float32),
        sine_K=np.zeros(K // 2, dtype=np.float32),
        hidden_F=np.zeros(config.d_feed_forward, dtype=np.int8),
        score_W=np.zeros(W, dtype=np.int32),
        mixed_K=np.zeros(K, dtype=np.int32),
        logits_V=np.zeros(config.vocab_size, dtype=np.int32),
    )


@compiled
def _round_int8(value: np.float32) -> np.int8:
    rounded = np.floor(value + _HALF)
    return np.int8(min(max(rounded, -_LIMIT), _LIMIT))


@compiled
def _mix_hash(value: np.uint64, bits: Whole) -> np.int64:
    value = value & np.uint64(MASK_32)
    value = ((value ^ (value >> np.uint64(15))) * np.uint64(MULTIPLIER_MIX)) & np.uint64(MASK_32)
    return np.int64(value >> np.uint64(32 - bits))


@compiled
def _add_product(
    x_D: NDArray[np.int32],
    weight: NDArray[np.uint8],
    scale: NDArray[np.float32],
    y: NDArray[np.int8],
    product_R: NDArray[np.int32],
) -> None:
    row_products(weight, y, len(x_D), product_R)
    for d in range(len(x_D)):
        update = np.floor(np.float32(product_R[d]) * scale[d] + _HALF)
        total = np.int32(x_D[d] + np.int32(update))
        x_D[d] = min(max(total, np.int32(-RESIDUAL_LIMIT)), np.int32(RESIDUAL_LIMIT))


@compiled
def _norm(x_D: NDArray[np.int32], norm_factor: Real, y_D: NDArray[np.int8]) -> None:
    squares = np.int64(0)
    for d in range(len(x_D)):
        squares += np.int64(x_D[d]) * np.int64(x_D[d])
    factor = np.float32(norm_factor / np.sqrt(np.float64(squares) + 1.0))
    for d in range(len(x_D)):
        y_D[d] = _round_int8(np.float32(x_D[d]) * factor)


@compiled
def _embed(network: Network, scratch: Scratch, token: Whole) -> None:
    x_D, memory_M = scratch.x_D, scratch.memory_M
    previous, second = np.uint64(scratch.tokens[1]), np.uint64(scratch.tokens[0])
    hashed = previous * np.uint64(MULTIPLIER_A) + np.uint64(token) * np.uint64(MULTIPLIER_B)
    bigram = _mix_hash(hashed, network.sizes[BIGRAM_BITS])
    hashed = second * np.uint64(MULTIPLIER_C) + hashed
    trigram = _mix_hash(hashed, network.sizes[TRIGRAM_BITS])
    scratch.tokens[0] = scratch.tokens[1]
    scratch.tokens[1] = token
    half = len(memory_M) // 2
    for m in range(half):
        memory_M[m] = network.bigram_RM[bigram, m]
        memory_M[half + m] = network.trigram_RM[trigram, m]
    scale = network.embedding_scale_I[token]
    for d in range(len(x_D)):
        x_D[d] = np.int32(np.floor(np.float32(network.embedding_ID[token, d]) * scale + _HALF))
    _add_product(x_D, network.memory_in_DM, network.memory_in_scale_D, memory_M, scratch.product_R)


@compiled
def _turn(network: Network, scratch: Scratch) -> None:
    """Cosines and sines of this position."""
    position = scratch.position[0]
    period = len(network.rotary_cos_P)
    for pair in range(len(scratch.cosine_K)):
        turns = (position * network.rotary_turns_K[pair]) % period
        scratch.cosine_K[pair] = network.rotary_cos_P[turns]
        scratch.sine_K[pair] = network.rotary_cos_P[(turns - period // 4) % period]


@compiled
def _project(network: Network, scratch: Scratch, layer: Whole) -> None:
    """Queries, keys and values of this position; the last two into the cache."""
    y_D, scaled_E, product_R = scratch.y_D, scratch.scaled_E, scratch.product_R
    cosine_K, sine_K, query_D = scratch.cosine_K, scratch.sine_K, scratch.query_D
    D = len(y_D)
    H = network.sizes[HEADS]
    K = D // H
    half = K // 2
    scale = network.query_key_value_scale_LE[layer]
    row_products(network.query_key_value_LED[layer], y_D, 3 * D, product_R)
    for row in range(3 * D):
        scaled_E[row] = np.float32(product_R[row]) * scale[row]
    place = scratch.position[0] % network.sizes[WINDOW]
    for head in range(H):
        query_K, key_K = query_D[head * K : (head + 1) * K], scratch.keys_LHWK[layer, head, place]
        value_K = scratch.values_LHWK[layer, head, place]
        begin = head * K
        for pair in range(half):
            first, second = scaled_E[begin + pair], scaled_E[begin + half + pair]
            query_K[pair] = _round_int8(first * cosine_K[pair] - second * sine_K[pair])
            query_K[half + pair] = _round_int8(second * cosine_K[pair] + first * sine_K[pair])
        begin = D + head * K
        for pair in range(half):
            first, second = scaled_E[begin + pair], scaled_E[begin + half + pair]
            key_K[pair] = _round_int8(first * cosine_K[pair] - second * sine_K[pair]) + OFFSET
            key_K[half + pair] = _round_int8(second * cosine_K[pair] + first * sine_K[pair]) + OFFSET
        begin = 2 * D + head * K
        for k in range(K):
            value_K[k] = _round_int8(scaled_E[begin + k])


@compiled
def _mix_values(
    weight_W: NDArray[np.int32], value_WK: NDArray[np.int16], count: Whole, mixed_K: NDArray[np.int32]
) -> None:
    """Sum of the values times their weights; four at once, so that the sums are loaded and stored less often."""
    mixed_K[:] = 0
    w = 0
    while w + 4 <= count:
        a, b, c, d = weight_W[w], weight_W[w + 1], weight_W[w + 2], weight_W[w + 3]
        if a | b | c | d:
            for k in range(len(mixed_K)):
                first = a * np.int32(value_WK[w, k]) + b * np.int32(value_WK[w + 1, k])
                second = c * np.int32(value_WK[w + 2, k]) + d * np.int32(value_WK[w + 3, k])
                mixed_K[k] = np.int32(mixed_K[k] + first + second)
        w += 4
    while w < count:
        for k in range(len(mixed_K)):
            mixed_K[k] = np.int32(mixed_K[k] + weight_W[w] * np.int32(value_WK[w, k]))
        w += 1


@compiled
def _attend(network: Network, scratch: Scratch, layer: Whole) -> None:
    """The mixed values of all heads as int8, into scratch.y_D."""
    y_D, query_D, score_W, mixed_K = scratch.y_D, scratch.query_D, scratch.score_W, scratch.mixed_K
    H = network.sizes[HEADS]
    K = len(mixed_K)
    count = min(scratch.position[0] + 1, network.sizes[WINDOW])
    last = np.float32(len(network.attention_exp) - 1)
    for head in range(H):
        value_WK = scratch.values_LHWK[layer, head]
        row_products(scratch.keys_LHWK[layer, head], query_D[head * K : (head + 1) * K], count, score_W)
        best = score_W[0]
        for w in range(count):
            best = max(best, score_W[w])
        scale = network.index_scale_LH[layer, head]
        for w in range(count):
            index = np.float32(np.int32(best - score_W[w])) * scale
            score_W[w] = network.attention_exp[np.int32(min(index, last))]
        total = np.int64(0)
        for w in range(count):
            total += score_W[w]
        _mix_values(score_W, value_WK, count, mixed_K)
        factor = network.value_scale_LH[layer, head] / np.float32(total)
        for k in range(K):
            y_D[head * K + k] = _round_int8(np.float32(mixed_K[k]) * factor)


@compiled
def _feed_forward(network: Network, scratch: Scratch, layer: Whole) -> None:
    hidden_F, product_R = scratch.hidden_F, scratch.product_R
    scale = network.expand_scale_LF[layer]
    row_products(network.expand_LFD[layer], scratch.y_D, len(hidden_F), product_R)
    for row in range(len(hidden_F)):
        value = max(np.float32(product_R[row]) * scale[row], np.float32(0))
        hidden_F[row] = _round_int8(value * value)
    _add_product(scratch.x_D, network.contract_LDF[layer], network.contract_scale_LD[layer], hidden_F, product_R)


@compiled
def next_frequencies(network: Network, scratch: Scratch, token: Whole, out_V: NDArray[np.int32]) -> Whole:
    """Take in one token; the frequencies of the next into `out_V`. Returns their sum."""
    _embed(network, scratch, token)
    _turn(network, scratch)
    y_D = scratch.y_D
    shift = network.sizes[SHIFT]
    for layer in range(len(network.expand_LFD)):
        _norm(scratch.x_D, network.norm_factor_N[2 * layer], y_D)
        shifted_D = scratch.shifted_LD[layer]
        for d in range(shift):
            shifted_D[d], y_D[d] = y_D[d], shifted_D[d]
        _project(network, scratch, layer)
        _attend(network, scratch, layer)
        out, scale = network.attention_out_LDD[layer], network.attention_out_scale_LD[layer]
        _add_product(scratch.x_D, out, scale, y_D, scratch.product_R)
        _norm(scratch.x_D, network.norm_factor_N[2 * layer + 1], y_D)
        _feed_forward(network, scratch, layer)
    scratch.position[0] += 1
    _norm(scratch.x_D, network.norm_factor_N[len(network.norm_factor_N) - 1], y_D)
    return _head(network, scratch.y_D, scratch.logits_V, out_V)


@compiled
def _head(
    network: Network,
    y_D: NDArray[np.int8],
    logits_V: NDArray[np.int32],
    out_V: NDArray[np.int32],
) -> Whole:
    row_products(network.head_VD, y_D, len(out_V), logits_V)
    best = np.int32(-(1 << 30))
    for v in range(len(out_V)):
        logit = np.int32(np.floor(np.float32(logits_V[v]) * network.head_scale_V[v] + _HALF))
        logits_V[v] = logit
        best = max(best, logit)
    last = np.int32(len(network.frequency_exp) - 1)
    for v in range(len(out_V)):
        out_V[v] = network.frequency_exp[min(np.int32(best - logits_V[v]), last)]
    total = np.int64(0)
    for v in range(len(out_V)):
        total += out_V[v]
    return total
