"""Adaptation within the record: counts of its own tokens mixed with the network's frequencies.

A chain of contexts of 0 to 3 tokens, each an interpolated, absolutely discounted count on top of
the next shorter one and what was predicted without them below them all (Kneser & Ney 1995; Teh 2006 for the form);
a copy expert that follows the longest earlier occurrence of the last tokens; and a mixture whose
weights follow the record (fixed share: Herbster & Warmuth 1998) and what the contexts look like.

Exact by construction: float64 + - * / one at a time in a fixed order, floor, compare, integers.
No fastmath, no float reduction over the vocabulary. Any change here is another bit stream.

Experts: 0 network, 1 + k counts of order k, 5 copy.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.jit import inlined, uncounted
from nbmf.neural.scalars import Real, Whole

ORDERS = 4  # contexts of 0, 1, 2 and 3 tokens
EXPERTS = ORDERS + 2
NETWORK, COPY = 0, ORDERS + 1
MATCH_LENGTHS = 16
CONFIDENCES = 4  # buckets of the highest probability
COPY_LENGTHS = (2, 3, 5, 8, 15, 24, 32)  # longest match of each row of copy gates
COPY_BUCKETS = 6  # buckets of the network's probability of the token to copy
GATES = ORDERS * 3 * CONFIDENCES
COPY_GATES = 1 + len(COPY_LENGTHS) * COPY_BUCKETS
GATE_LIMIT = 1e6
SCALE = 1 << 28  # what probability 1 becomes; every token gets at least 1 on top


class Constants(NamedTuple):
    """Fitted on validation records; part of the codec version."""

    discount_K: NDArray[np.float64]  # subtracted from every count of an order
    spread_K: NDArray[np.float64]  # times distinct tokens: weight of the shorter context
    spread_floor_K: NDArray[np.float64]  # that weight is at least this
    prior_E: NDArray[np.float64]  # mixture weights at a record's start
    share: float  # part of the prior mixed back after every token
    gate_GE: NDArray[np.float64]  # factors of the weights in each situation
    copy_gate_GE: NDArray[np.float64]  # and for each kind of copy on offer
    gate_rate: float  # how fast the factors follow the record
    copy_LB: NDArray[np.float64]  # trust in a copy by match length and network probability
    copy_strength: float  # how many trials that trust is worth against the record's own
    network_share_OCC: NDArray[np.float64]  # of the network beside static counts (prediction.py)


class Memory(NamedTuple):
    """A record's counts and match, with room for N - 1 tokens. Arrays of one element are scalars.

    Of several records: each array has one more dimension, the first.
    """

    history_N: NDArray[np.int32]
    position: NDArray[np.int64]
    slots: NDArray[np.int32]  # [K, hash slots]: context number + 1
    slot_keys: NDArray[np.uint64]
    total: NDArray[np.int32]  # [K, contexts]
    distinct: NDArray[np.int32]
    last: NDArray[np.int32]  # where the context's next token last stood
    first_node: NDArray[np.int32]
    node_token: NDArray[np.int32]  # [K, nodes]
    node_count: NDArray[np.int32]
    node_next: NDArray[np.int32]
    n_contexts: NDArray[np.int64]  # [K]
    n_nodes: NDArray[np.int64]
    count_V: NDArray[np.int32]  # order 0: node number + 1 of each token
    active: NDArray[np.int32]  # [K]: context now, -1 when it is new
    active_slot: NDArray[np.int64]  # [K]
    match: NDArray[np.int64]  # [2]: position to copy from (-1: none), length of the match
    copy_hits: NDArray[np.float64]  # [MATCH_LENGTHS, 2]: hits, trials in this record
    weight_E: NDArray[np.float64]
    gate_GE: NDArray[np.float64]
    copy_gate_GE: NDArray[np.float64]
    chain: NDArray[np.float64]  # [EXPERTS]: probability of one token by each expert
    mixed_E: NDArray[np.float64]  # weights in force for this token


def new_memories(records: int, n: int, vocab_size: int) -> Memory:
    """Room for several records of at most `n` tokens each; `start_memory` makes each ready."""
    slots = 16
    while slots < 2 * (n + 1):
        slots *= 2

    def zeros(dtype: Any, *shape: int) -> NDArray[Any]:
        return np.zeros((records, *shape), dtype=dtype)

    return Memory(
        history_N=zeros(np.int32, n + 1),
        position=zeros(np.int64, 1),
        slots=zeros(np.int32, ORDERS, slots),
        slot_keys=zeros(np.uint64, ORDERS, slots),
        total=zeros(np.int32, ORDERS, n + 1),
        distinct=zeros(np.int32, ORDERS, n + 1),
        last=zeros(np.int32, ORDERS, n + 1),
        first_node=zeros(np.int32, ORDERS, n + 1),
        node_token=zeros(np.int32, ORDERS, n + 1),
        node_count=zeros(np.int32, ORDERS, n + 1),
        node_next=zeros(np.int32, ORDERS, n + 1),
        n_contexts=zeros(np.int64, ORDERS),
        n_nodes=zeros(np.int64, ORDERS),
        count_V=zeros(np.int32, vocab_size),
        active=zeros(np.int32, ORDERS),
        active_slot=zeros(np.int64, ORDERS),
        match=zeros(np.int64, 2),
        copy_hits=zeros(np.float64, MATCH_LENGTHS, 2),
        weight_E=zeros(np.float64, EXPERTS),
        gate_GE=zeros(np.float64, GATES, EXPERTS),
        copy_gate_GE=zeros(np.float64, COPY_GATES, EXPERTS),
        chain=zeros(np.float64, EXPERTS),
        mixed_E=zeros(np.float64, EXPERTS),
    )


def new_memory(n: int, vocab_size: int, constants: Constants) -> Memory:
    """An empty memory for a record of at most `n` tokens."""
    memory = Memory(*(array[0] for array in new_memories(1, n, vocab_size)))
    start_memory(memory, constants)
    return memory


@inlined
def memory_of(memories: Memory, record: Whole) -> Memory:
    """One of several."""
    m, r = memories, record
    return Memory(
        m.history_N[r], m.position[r], m.slots[r], m.slot_keys[r], m.total[r], m.distinct[r], m.last[r],
        m.first_node[r], m.node_token[r], m.node_count[r], m.node_next[r], m.n_contexts[r], m.n_nodes[r],
        m.count_V[r], m.active[r], m.active_slot[r], m.match[r], m.copy_hits[r], m.weight_E[r], m.gate_GE[r],
        m.copy_gate_GE[r], m.chain[r], m.mixed_E[r],
    )  # fmt: skip


@uncounted
def start_memory(memory: Memory, constants: Constants) -> None:
    """Forget the record before. What belongs to a context or node is set when that is made.

    Loops: numba compiles the copying of arrays with all that could be wrong with their shapes, for seconds.
    """
    for order in range(ORDERS):
        memory.n_contexts[order] = memory.n_nodes[order] = 0
        for slot in range(memory.slots.shape[1]):
            memory.slots[order, slot] = 0
    for token in range(len(memory.count_V)):
        memory.count_V[token] = 0
    memory.position[0] = 0
    memory.match[0], memory.match[1] = -1, 0
    for length in range(MATCH_LENGTHS):
        memory.copy_hits[length, 0] = memory.copy_hits[length, 1] = 0.0
    for expert in range(EXPERTS):
        memory.weight_E[expert] = constants.prior_E[expert]
        for situation in range(GATES):
            memory.gate_GE[situation, expert] = constants.gate_GE[situation, expert]
        for copying in range(COPY_GATES):
            memory.copy_gate_GE[copying, expert] = constants.copy_gate_GE[copying, expert]


@inlined
def find_contexts(memory: Memory) -> None:
    """Look up the contexts that end at the current position, and the token to copy."""
    position = memory.position[0]
    history = memory.history_N
    mask = np.uint64(memory.slots.shape[1] - 1)
    key = np.uint64(0x9E3779B97F4A7C15)
    for order in range(ORDERS):
        if order > position:
            memory.active[order] = -1
            memory.active_slot[order] = -1
            continue
        if order > 0:
            token = np.uint64(history[position - order] + 1)
            key = (key ^ token) * np.uint64(0xD6E8FEB86659FD93)
            key ^= key >> np.uint64(29)
        slot = np.int64(key & mask)
        while memory.slots[order, slot] != 0 and memory.slot_keys[order, slot] != key:
            slot = np.int64(np.uint64(slot + 1) & mask)
        memory.slot_keys[order, slot] = key
        memory.active_slot[order] = slot
        memory.active[order] = memory.slots[order, slot] - 1
    if memory.match[0] < 0:
        for order in (3, 2):
            if memory.active[order] >= 0:
                source = np.int64(memory.last[order, memory.active[order]])
                length = 0
                while (
                    length < source and length < 32 and history[source - 1 - length] == history[position - 1 - length]
                ):
                    length += 1
                memory.match[0] = source
                memory.match[1] = length
                break


@inlined
def copy_token(memory: Memory) -> Whole:
    """The token the copy expert expects, or -1."""
    if memory.match[0] < 0:
        return -1
    return np.int64(memory.history_N[memory.match[0]])


@inlined
def copy_bucket(network: Real) -> int:
    """Bucket of the network's probability of the token to copy; 0 the likeliest."""
    bucket = 0
    bound = 0.5
    while bucket < COPY_BUCKETS - 1 and network < bound:
        bucket += 1
        bound *= 0.125
    return bucket


@inlined
def copy_trust(memory: Memory, constants: Constants, network: Real) -> Real:
    """Probability that the copy is right; `network` is the network's probability of it."""
    row = min(memory.match[1], MATCH_LENGTHS - 1)
    expected = constants.copy_LB[row, copy_bucket(network)]
    hits, trials = memory.copy_hits[row, 0], memory.copy_hits[row, 1]
    trust: Real = (hits + constants.copy_strength * expected) / (trials + constants.copy_strength)
    return trust


@inlined
def confidence_bucket(confidence: Real) -> int:
    """Bucket of the probability of the likeliest token."""
    if confidence > 0.9:
        return 3
    if confidence > 0.5:
        return 2
    return 1 if confidence > 0.2 else 0


@inlined
def gate(memory: Memory, confidence: Real) -> int:
    """The situation: longest known context, how sure it looks, how sure the network is."""
    order = ORDERS - 1
    while order > 0 and memory.active[order] < 0:
        order -= 1
    state = 2
    context = memory.active[order]
    if context >= 0 and memory.distinct[order, context] == 1:
        state = 1 if memory.total[order, context] > 1 else 0
    return (order * 3 + state) * CONFIDENCES + confidence_bucket(confidence)


@inlined
def copy_gate(memory: Memory, network: Real) -> int:
    """The copy on offer: its length, and the network's probability of it; 0 for none."""
    if memory.match[0] < 0:
        return 0
    row = 0
    while row < len(COPY_LENGTHS) - 1 and memory.match[1] > COPY_LENGTHS[row]:
        row += 1
    return 1 + row * COPY_BUCKETS + copy_bucket(network)


@inlined
def mix_weights(memory: Memory, situation: Whole, copying: Whole) -> None:
    """The record's weights times the factors of both gates; who has nothing to say gets 0."""
    total = 0.0
    for expert in range(EXPERTS):
        weight = memory.weight_E[expert] * memory.gate_GE[situation, expert]
        weight = weight * memory.copy_gate_GE[copying, expert]
        if (
            (expert == COPY and memory.match[0] < 0)
            or (1 < expert < COPY and memory.active[expert - 1] < 0)
            or (expert == 1 and memory.position[0] == 0)
        ):
            weight = 0.0
        memory.mixed_E[expert] = weight
        total += weight
    for expert in range(EXPERTS):
        memory.mixed_E[expert] /= total


@inlined
def context_spread(memory: Memory, constants: Constants, order: Whole, context: Whole) -> Real:
    distinct = np.float64(memory.distinct[order, context])
    spread: Real = max(constants.spread_K[order] * distinct, constants.spread_floor_K[order])
    return spread


@inlined
def context_total(memory: Memory, constants: Constants, order: Whole, context: Whole, spread: Real) -> Real:
    taken = constants.discount_K[order] * np.float64(memory.distinct[order, context])
    whole: Real = np.float64(memory.total[order, context]) - taken + spread
    return whole


@inlined
def find_node(memory: Memory, order: Whole, context: Whole, token: Whole) -> Whole:
    """The node that counts `token` in a context, or -1."""
    if order == 0:
        return np.int64(memory.count_V[token]) - 1
    node = np.int64(memory.first_node[order, context])
    while node >= 0 and memory.node_token[order, node] != token:
        node = np.int64(memory.node_next[order, node])
    return node


@inlined
def token_probabilities(memory: Memory, constants: Constants, token: Whole, network: Real, trust: Real) -> None:
    """What each expert gave to `token`, into memory.chain."""
    memory.chain[NETWORK] = network
    below = network
    for order in range(ORDERS):
        context = np.int64(memory.active[order])
        if context >= 0:
            spread = context_spread(memory, constants, order, context)
            whole = context_total(memory, constants, order, context, spread)
            count = 0.0
            node = find_node(memory, order, context, token)
            if node >= 0:
                count = np.float64(memory.node_count[order, node]) - constants.discount_K[order]
            below = (count + spread * below) / whole
        memory.chain[1 + order] = below
    hit = 1.0 if copy_token(memory) == token else 0.0
    memory.chain[COPY] = trust * hit + (1.0 - trust) * below


@inlined
def _level(memory: Memory, constants: Constants, order: Whole, weight: Real) -> tuple[Real, Real]:
    """Of a weight from longer contexts: what one count of this order's is worth, and what is left for shorter ones."""
    here: Real = weight + np.float64(memory.mixed_E[1 + order])
    context = np.int64(memory.active[order])
    if context < 0:
        return 0.0, here
    spread = context_spread(memory, constants, order, context)
    whole = context_total(memory, constants, order, context, spread)
    return here * SCALE / whole, here * spread / whole


@inlined
def fill_frequencies(
    memory: Memory,
    constants: Constants,
    network_V: NDArray[np.int32],
    network_total: Whole,
    trust: Real,
    out_V: NDArray[np.int32],
) -> Whole:
    """The mixture as integers, into `out_V`; returns their sum."""
    weight: Any = memory.mixed_E[COPY]
    copied = copy_token(memory)
    copied_extra = np.floor(weight * trust * SCALE)
    weight = weight * (1.0 - trust)
    # from the longest context down, how much of the mixture reaches each level
    rest: Real = weight
    for order in range(ORDERS - 1, -1, -1):
        _, rest = _level(memory, constants, order, rest)
    rest = rest + memory.mixed_E[NETWORK]
    factor = np.float32(rest * SCALE / np.float64(network_total))
    for token in range(len(out_V)):
        out_V[token] = np.int32(np.float32(network_V[token]) * factor) + 1
    for order in range(ORDERS - 1, -1, -1):
        unit, weight = _level(memory, constants, order, weight)
        if unit > 0.0:
            node = np.int64(memory.first_node[order, memory.active[order]])
            discount = constants.discount_K[order]
            while node >= 0:
                count = np.float64(memory.node_count[order, node]) - discount
                out_V[memory.node_token[order, node]] += np.int32(np.floor(count * unit))
                node = np.int64(memory.node_next[order, node])
    if copied >= 0:
        out_V[copied] += np.int32(copied_extra)
    total = np.int64(0)
    for token in range(len(out_V)):
        total += out_V[token]
    return total


@inlined
def _bounded(factor: Real) -> Real:
    """No factor may run away in a record of any length."""
    return min(max(factor, 1.0 / GATE_LIMIT), GATE_LIMIT)


@inlined
def learn(memory: Memory, constants: Constants, token: Whole, situation: Whole, copying: Whole) -> None:
    """After `token` is known and memory.chain holds its probabilities: weights, counts, match."""
    mixture = 0.0
    for expert in range(EXPERTS):
        mixture += memory.mixed_E[expert] * memory.chain[expert]
    total = 0.0
    for expert in range(EXPERTS):
        posterior = memory.mixed_E[expert] * memory.chain[expert] / mixture
        step = constants.gate_rate * (posterior - memory.mixed_E[expert])
        memory.gate_GE[situation, expert] = _bounded(memory.gate_GE[situation, expert] * (1.0 + step))
        memory.copy_gate_GE[copying, expert] = _bounded(memory.copy_gate_GE[copying, expert] * (1.0 + step))
        memory.weight_E[expert] *= memory.chain[expert]
        total += memory.weight_E[expert]
    for expert in range(EXPERTS):
        memory.weight_E[expert] = (
            memory.weight_E[expert] / total * (1.0 - constants.share) + constants.prior_E[expert] * constants.share
        )
    _follow_match(memory, token)
    position = memory.position[0]
    for order in range(min(ORDERS, position + 1)):
        _count(memory, order, token, position)
    memory.history_N[position] = token
    memory.position[0] = position + 1


@inlined
def _follow_match(memory: Memory, token: Whole) -> None:
    source = memory.match[0]
    if source >= 0:
        row = min(memory.match[1], MATCH_LENGTHS - 1)
        memory.copy_hits[row, 1] += 1.0
        if memory.history_N[source] == token:
            memory.copy_hits[row, 0] += 1.0
            memory.match[0] = source + 1
            memory.match[1] += 1
        else:
            memory.match[0] = -1
            memory.match[1] = 0


@inlined
def _count(memory: Memory, order: Whole, token: Whole, position: Whole) -> None:
    context = np.int64(memory.active[order])
    if context < 0:
        context = memory.n_contexts[order]
        memory.n_contexts[order] += 1
        memory.slots[order, memory.active_slot[order]] = context + 1
        memory.total[order, context] = 0
        memory.distinct[order, context] = 0
        memory.first_node[order, context] = -1
    memory.total[order, context] += 1
    memory.last[order, context] = position
    node = find_node(memory, order, context, token)
    if node >= 0:
        memory.node_count[order, node] += 1
        return
    node = memory.n_nodes[order]
    memory.n_nodes[order] += 1
    memory.node_token[order, node] = token
    memory.node_count[order, node] = 1
    memory.node_next[order, node] = memory.first_node[order, context]
    memory.first_node[order, context] = node
    memory.distinct[order, context] += 1
    if order == 0:
        memory.count_V[token] = node + 1
