"""The integer network's arrays for the compiled loop: weights, caches of records in work, and work space.

Shape suffixes: V vocabulary, I input ids, D d_model, E 3 * d_model, F d_feed_forward, H heads,
K d_head, M d_memory, L layers, W window, P rotary period, S slots (records in work at once), C positions
that a cache holds, B tokens taken in at once. Sizes of packed matrices and of what they are
multiplied with are filled up (dot.py).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.config import NeuralConfig
from nbmf.neural.dot import COLUMNS, LANES, ProductScratch, new_product_scratch, pack, packed_zeros, padded
from nbmf.neural.weights import ROTARY_ONE, IntegerWeights


class Network(NamedTuple):
    """Weights in the layout of the loop; matrices of products packed (dot.py)."""

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
    sizes: NDArray[np.int64]  # named below


HEADS, BIGRAM_BITS, TRIGRAM_BITS, WINDOW, VOCABULARY, PADDING = range(6)


PLACE, BEGIN, END, AROUND, FIRST, LAST = range(6)
# of a token in the ring; seen are BEGIN to END and the last AROUND, in whole blocks FIRST to LAST

AT_ONCE = 16
"""Most tokens of a record that are taken in at once: so many that reading the weights costs little, few enough for the
caches."""


class Cache(NamedTuple):
    """What the network remembers of the records in work; keys and values in rings of C positions."""

    keys_SLHCK: NDArray[np.uint8]  # packed
    values_SLHKC: NDArray[np.int8]  # packed without offset
    shifted_SLD: NDArray[np.int8]  # leading channels of the last attention input
    tokens_S2: NDArray[np.int64]  # the last two
    position_S: NDArray[np.int64]


class Scratch(NamedTuple):
    """Work space for B tokens: those to be taken in, what passes between steps, and frequencies of the next."""

    slot_B: NDArray[np.int64]
    token_B: NDArray[np.int64]
    span_B6: NDArray[np.int64]  # places in the ring, named below
    cosine_BK: NDArray[np.float32]  # [B, K/2]
    sine_BK: NDArray[np.float32]
    x_BD: NDArray[np.int32]
    y_BD: NDArray[np.int8]
    memory_BM: NDArray[np.int8]
    hidden_BF: NDArray[np.int8]
    product_BR: NDArray[np.int32]  # of any matrix but the head
    scaled_BE: NDArray[np.float32]
    value_K: NDArray[np.int8]
    query_BK: NDArray[np.int8]
    score_BC: NDArray[np.int32]
    digit_B2C: NDArray[np.uint8]
    mixed_B2K: NDArray[np.int32]
    factor_B: NDArray[np.float32]
    frequency_BV: NDArray[np.int32]
    total_B: NDArray[np.int64]
    products: ProductScratch


def make_network(weights: IntegerWeights, config: NeuralConfig) -> Network:
    sizes = (
        config.n_heads,
        config.bigram_bits,
        config.trigram_bits,
        config.window,
        config.vocab_size,
        config.padding_id,
    )
    owned = np.array  # loaded arrays are read-only, a type of its own to numba
    return Network(
        owned(weights.embedding_ID),
        owned(weights.embedding_scale_I),
        owned(weights.bigram_RM),
        owned(weights.trigram_RM),
        pack(weights.memory_in_DM),
        owned(weights.memory_in_scale_D),
        pack(weights.query_key_value_LED),
        owned(weights.query_key_value_scale_LE),
        pack(weights.attention_out_LDD),
        owned(weights.attention_out_scale_LD),
        pack(weights.expand_LFD),
        owned(weights.expand_scale_LF),
        pack(weights.contract_LDF),
        owned(weights.contract_scale_LD),
        pack(weights.head_VD),
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


def new_cache(config: NeuralConfig, slots: int = 1, at_once: int = 1) -> Cache:
    """For `slots` records in work, up to `at_once` tokens of a record in one step."""
    L, H, K = config.n_layers, config.n_heads, config.d_head
    # the last of those tokens must not take the place of one that the first still sees
    C = padded(config.window + at_once - 1, LANES) if config.window else 0
    return Cache(
        keys_SLHCK=packed_zeros((slots, L, H, C, K)),
        values_SLHKC=packed_zeros((slots, L, H, K, C), offset=0).view(np.int8),
        shifted_SLD=np.zeros((slots, L, config.d_shift), dtype=np.int8),
        tokens_S2=np.full((slots, 2), config.padding_id, dtype=np.int64),
        position_S=np.zeros(slots, dtype=np.int64),
    )


def new_scratch(config: NeuralConfig, cache: Cache, tokens: int = 1) -> Scratch:
    """For up to `tokens` in one step, of one record or several."""
    B, D, K, C = tokens, config.d_model, config.d_head, cache.keys_SLHCK.shape[3]
    products = padded(max(3 * D, config.d_feed_forward), LANES)
    widest = max(padded(max(D, config.d_feed_forward, 2 * config.d_memory, K), COLUMNS), C)

    def zeros(dtype: Any, *shape: int) -> NDArray[Any]:
        return np.zeros(shape, dtype=dtype)

    return Scratch(
        slot_B=zeros(np.int64, B),
        token_B=zeros(np.int64, B),
        span_B6=zeros(np.int64, B, 6),
        cosine_BK=zeros(np.float32, B, K // 2),
        sine_BK=zeros(np.float32, B, K // 2),
        x_BD=zeros(np.int32, B, D),
        y_BD=zeros(np.int8, B, padded(D, COLUMNS)),
        memory_BM=zeros(np.int8, B, padded(2 * config.d_memory, COLUMNS)),
        hidden_BF=zeros(np.int8, B, padded(config.d_feed_forward, COLUMNS)),
        product_BR=zeros(np.int32, B, products),
        scaled_BE=zeros(np.float32, B, 3 * D),
        value_K=zeros(np.int8, padded(K, LANES)),
        query_BK=zeros(np.int8, B, padded(K, COLUMNS)),
        score_BC=zeros(np.int32, B, C),
        digit_B2C=zeros(np.uint8, B, 2, C),
        mixed_B2K=zeros(np.int32, B, 2, padded(K, LANES)),
        factor_B=zeros(np.float32, B),
        frequency_BV=zeros(np.int32, B, padded(config.vocab_size, LANES)),
        total_B=zeros(np.int64, B),
        products=new_product_scratch(B, widest),
    )
