"""The integer network as one compiled loop: a token in, the next token's frequencies out.

The same function of the tokens as torch_engine.py, bit for bit, written for one record on one
core: int8 weights times int16 activations in loops that the compiler turns into multiply-add
instructions. No fastmath: every float operation is one IEEE 754 operation, as written.

Shape suffixes: V vocabulary, I input ids, D d_model, E 3 * d_model, F d_feed_forward, H heads,
K d_head, M d_memory, L layers, W window, P rotary period.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.config import NeuralConfig
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
    """Weights in the layout of the loop."""

    embedding_ID: NDArray[np.int8]
    embedding_scale_I: NDArray[np.float32]
    bigram_RM: NDArray[np.int8]
    trigram_RM: NDArray[np.int8]
    memory_in_DM: NDArray[np.int8]
    memory_in_scale_D: NDArray[np.float32]
    query_key_value_LED: NDArray[np.int8]
    query_key_value_scale_LE: NDArray[np.float32]
    attention_out_LDD: NDArray[np.int8]
    attention_out_scale_LD: NDArray[np.float32]
    expand_LFD: NDArray[np.int8]
    expand_scale_LF: NDArray[np.float32]
    contract_LDF: NDArray[np.int8]
    contract_scale_LD: NDArray[np.float32]
    head_VD: NDArray[np.int8]
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

    keys_LHWK: NDArray[np.int16]
    values_LHWK: NDArray[np.int16]
    shifted_LD: NDArray[np.int16]
    tokens: NDArray[np.int64]  # the last two
    position: NDArray[np.int64]
    x_D: NDArray[np.int32]
    y_D: NDArray[np.int16]
    memory_M: NDArray[np.int16]
    scaled_E: NDArray[np.float32]
    query_D: NDArray[np.int16]
    hidden_F: NDArray[np.int16]
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
        owned(weights.memory_in_DM),
        owned(weights.memory_in_scale_D),
        owned(weights.query_key_value_LED),
        owned(weights.query_key_value_scale_LE),
        owned(weights.attention_out_LDD),
        owned(weights.attention_out_scale_LD),
        owned(weights.expand_LFD),
        owned(weights.expand_scale_LF),
        owned(weights.contract_LDF),
        owned(weights.contract_scale_LD),
        owned(weights.head_VD),
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
        "trigram_RM": (np.int8, 2), "memory_in_DM": (np.int8, 2), "memory_in_scale_D": (np.float32, 1),
        "query_key_value_LED": (np.int8, 3), "query_key_value_scale_LE": (np.float32, 2),
        "attention_out_LDD": (np.int8, 3), "attention_out_scale_LD": (np.float32, 2), "expand_LFD": (np.int8, 3),
        "expand_scale_LF": (np.float32, 2), "contract_LDF": (np.int8, 3), "contract_scale_LD": (np.float32, 2),
        "head_VD": (np.int8, 2), "head_scale_V": (np.float32, 1), "norm_factor_N": (np.float64, 1),
        "index_scale_LH": (np.float32, 2), "value_scale_LH": (np.float32, 2), "attention_exp": (np.int32, 1),
        "frequency_exp": (np.int32, 1), "rotary_cos_P": (np.float32, 1), "rotary_turns_K": (np.int64, 1),
        "sizes": (np.int64, 1),
    }  # fmt: skip
    return Network(**{name: np.zeros((0,) * ndim, dtype=dtype) for name, (dtype, ndim) in types.items()})


def new_scratch(config: NeuralConfig) -> Scratch:
    L, W, D = config.n_layers, config.window, config.d_model
    H, K = config.n_heads, config.d_head
    return Scratch(
        keys_LHWK=np.zeros((L, H, W, K), dtype=np.int16),
        values_LHWK=np.zeros((L, H, W, K), dtype=np.int16),
        shifted_LD=np.zeros((L, max(1, config.d_shift)), dtype=np.int16),
        tokens=np.full(2, config.padding_id, dtype=np.int64),
        position=np.zeros(1, dtype=np.int64),
        x_D=np.zeros(D, dtype=np.int32),
        y_D=np.zeros(D, dtype=np.int16),
        memory_M=np.zeros(2 * config.d_memory, dtype=np.int16),
        scaled_E=np.zeros(3 * D, dtype=np.float32),
        query_D=np.zeros(D, dtype=np.int16),
        hidden_F=np.zeros(config.d_feed_forward, dtype=np.int16),
        score_W=np.zeros(W, dtype=np.int32),
        mixed_K=np.zeros(K, dtype=np.int32),
        logits_V=np.zeros(config.vocab_size, dtype=np.int32),
    )


@compiled
def _dot(weight: NDArray[np.int8], x: NDArray[np.int16]) -> np.int32:
    total = np.int32(0)
    for k in range(len(x)):
        total = np.int32(total + np.int32(weight[k]) * np.int32(x[k]))
    return total


@compiled
def _round_int8(value: np.float32) -> np.int16:
    rounded = np.floor(value + _HALF)
    return np.int16(min(max(rounded, -_LIMIT), _LIMIT))


@compiled
def _mix_hash(value: np.uint64, bits: Whole) -> np.int64:
    value = value & np.uint64(MASK_32)
    value = ((value ^ (value >> np.uint64(15))) * np.uint64(MULTIPLIER_MIX)) & np.uint64(MASK_32)
    return np.int64(value >> np.uint64(32 - bits))


@compiled
def _add_product(
    x_D: NDArray[np.int32],
    weight: NDArray[np.int8],
    scale: NDArray[np.float32],
    y: NDArray[np.int16],
) -> None:
    for row in range(len(x_D)):
        update = np.floor(np.float32(_dot(weight[row], y)) * scale[row] + _HALF)
        total = x_D[row] + np.int32(update)
        x_D[row] = min(max(total, -RESIDUAL_LIMIT), RESIDUAL_LIMIT)


@compiled
def _norm(x_D: NDArray[np.int32], norm_factor: Real, y_D: NDArray[np.int16]) -> None:
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
    _add_product(x_D, network.memory_in_DM, network.memory_in_scale_D, memory_M)


@compiled
def _project(network: Network, scratch: Scratch, layer: Whole) -> None:
    """Queries, keys and values of this position; the last two into the cache."""
    y_D, scaled_E = scratch.y_D, scratch.scaled_E
    D = len(y_D)
    H = network.sizes[HEADS]
    K = D // H
    weight = network.query_key_value_LED[layer]
    scale = network.query_key_value_scale_LE[layer]
    for row in range(3 * D):
        scaled_E[row] = np.float32(_dot(weight[row], y_D)) * scale[row]
    position = scratch.position[0]
    place = position % network.sizes[WINDOW]
    keys_HWK, values_HWK = scratch.keys_LHWK[layer], scratch.values_LHWK[layer]
    period = len(network.rotary_cos_P)
    for pair in range(K // 2):
        turns = (position * network.rotary_turns_K[pair]) % period
        cosine = network.rotary_cos_P[turns]
        sine = network.rotary_cos_P[(turns - period // 4) % period]
        for head in range(H):
            low, high = head * K + pair, head * K + pair + K // 2
            first, second = scaled_E[low], scaled_E[high]
            scratch.query_D[low] = _round_int8(first * cosine - second * sine)
            scratch.query_D[high] = _round_int8(second * cosine + first * sine)
            first, second = scaled_E[D + low], scaled_E[D + high]
            keys_HWK[head, place, pair] = _round_int8(first * cosine - second * sine)
            keys_HWK[head, place, pair + K // 2] = _round_int8(second * cosine + first * sine)
    for head in range(H):
        for k in range(K):
            values_HWK[head, place, k] = _round_int8(scaled_E[2 * D + head * K + k])


@compiled
def _attend(network: Network, scratch: Scratch, layer: Whole) -> None:
    """The mixed values of all heads as int8, into scratch.y_D."""
    y_D, query_D, score_W, mixed_K = scratch.y_D, scratch.query_D, scratch.score_W, scratch.mixed_K
    H = network.sizes[HEADS]
    K = len(mixed_K)
    count = min(scratch.position[0] + 1, network.sizes[WINDOW])
    last = len(network.attention_exp) - 1
    for head in range(H):
        query_K = query_D[head * K : (head + 1) * K]
        key_WK = scratch.keys_LHWK[layer, head]
        value_WK = scratch.values_LHWK[layer, head]
        best = np.int32(-(1 << 30))
        for w in range(count):
            score = np.int32(0)
            for k in range(K):
                score = np.int32(score + np.int32(query_K[k]) * np.int32(key_WK[w, k]))
            score_W[w] = score
            best = max(best, score)
        scale = network.index_scale_LH[layer, head]
        total = np.int64(0)
        for w in range(count):
            index = np.float32(best - score_W[w]) * scale
            score_W[w] = network.attention_exp[np.int32(min(index, np.float32(last)))]
            total += score_W[w]
        mixed_K[:] = 0
        for w in range(count):
            weight = score_W[w]
            if weight > 0:
                for k in range(K):
                    mixed_K[k] = np.int32(mixed_K[k] + weight * np.int32(value_WK[w, k]))
        factor = network.value_scale_LH[layer, head] / np.float32(total)
        for k in range(K):
            y_D[head * K + k] = _round_int8(np.float32(mixed_K[k]) * factor)


@compiled
def _feed_forward(network: Network, scratch: Scratch, layer: Whole) -> None:
    hidden_F, y_D = scratch.hidden_F, scratch.y_D
    weight, scale = network.expand_LFD[layer], network.expand_scale_LF[layer]
    for row in range(len(hidden_F)):
        value = max(np.float32(_dot(weight[row], y_D)) * scale[row], np.float32(0))
        hidden_F[row] = _round_int8(value * value)
    _add_product(scratch.x_D, network.contract_LDF[layer], network.contract_scale_LD[layer], hidden_F)


@compiled
def next_frequencies(network: Network, scratch: Scratch, token: Whole, out_V: NDArray[np.int32]) -> Whole:
    """Take in one token; the frequencies of the next into `out_V`. Returns their sum."""
    _embed(network, scratch, token)
    y_D = scratch.y_D
    shift = network.sizes[SHIFT]
    for layer in range(len(network.expand_LFD)):
        _norm(scratch.x_D, network.norm_factor_N[2 * layer], y_D)
        shifted_D = scratch.shifted_LD[layer]
        for d in range(shift):
            shifted_D[d], y_D[d] = y_D[d], shifted_D[d]
        _project(network, scratch, layer)
        _attend(network, scratch, layer)
        _add_product(scratch.x_D, network.attention_out_LDD[layer], network.attention_out_scale_LD[layer], y_D)
        _norm(scratch.x_D, network.norm_factor_N[2 * layer + 1], y_D)
        _feed_forward(network, scratch, layer)
    scratch.position[0] += 1
    _norm(scratch.x_D, network.norm_factor_N[len(network.norm_factor_N) - 1], y_D)
    return _head(network, scratch.y_D, scratch.logits_V, out_V)


@compiled
def _head(
    network: Network,
    y_D: NDArray[np.int16],
    logits_V: NDArray[np.int32],
    out_V: NDArray[np.int32],
) -> Whole:
    for v in range(len(out_V)):
        logit = np.float32(_dot(network.head_VD[v], y_D)) * network.head_scale_V[v]
        logits_V[v] = np.int32(np.floor(logit + _HALF))
    best = logits_V[0]
    for v in range(len(out_V)):
        best = max(best, logits_V[v])
    last = np.int32(len(network.frequency_exp) - 1)
    total = np.int64(0)
    for v in range(len(out_V)):
        frequency = network.frequency_exp[min(np.int32(best - logits_V[v]), last)]
        out_V[v] = frequency
        total += frequency
    return total
