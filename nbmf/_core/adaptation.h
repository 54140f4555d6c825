/* Adaptation within the record: counts of its own tokens mixed with what was predicted without them.
 *
 * A chain of contexts of 0 to 3 tokens, each an interpolated, absolutely discounted count on top of the next shorter one
 * (Kneser & Ney 1995; Teh 2006 for the form); a copy expert that follows the longest earlier occurrence of the last tokens;
 * and a mixture whose weights follow the record (fixed share: Herbster & Warmuth 1998) and what the contexts look like.
 */
#ifndef NBMF_ADAPTATION_H
#define NBMF_ADAPTATION_H

#include "counts.h"

#define GATE_LIMIT 1e6

static const int copy_row_lengths[COPY_ROWS] = {2, 3, 5, 8, 15, 24, 32}; /* longest match of each row of copy gates */

/* Forgets the record before. What belongs to a context or node is set when that is made. */
static void start_memory(Memory *memory, const Constants *constants, int vocab) {
    memory->position = 0;
    memory->match_source = -1;
    memory->match_length = 0;
    for (int order = 0; order < ORDERS; order++) {
        memory->n_contexts[order] = memory->n_nodes[order] = 0;
        memset(memory->slots[order], 0, (size_t)(memory->slot_mask + 1) * sizeof *memory->slots[order]);
    }
    memset(memory->node_of_token, 0, (size_t)vocab * sizeof *memory->node_of_token);
    memset(memory->copy_hits, 0, sizeof memory->copy_hits);
    memcpy(memory->weight, constants->prior, sizeof memory->weight);
    memcpy(memory->gate, constants->gate, sizeof memory->gate);
    memcpy(memory->copy_gate, constants->copy_gate, sizeof memory->copy_gate);
    for (int length = 0; length < CONTEXTS; length++) forget_context(&memory->followed[length]);
}

/* Looks up the contexts that end at the current position, and the place to copy from. */
INLINE void find_contexts(Memory *memory) {
    const int64_t position = memory->position;
    const int32_t *history = memory->history;
    uint64_t key = 0x9E3779B97F4A7C15u;
    for (int order = 0; order < ORDERS; order++) {
        if (order > position) {
            memory->active[order] = memory->active_slot[order] = -1;
            continue;
        }
        if (order > 0) {
            key = (key ^ (uint64_t)(history[position - order] + 1)) * 0xD6E8FEB86659FD93u;
            key ^= key >> 29;
        }
        uint64_t slot = key & memory->slot_mask;
        while (memory->slots[order][slot] != 0 && memory->slot_keys[order][slot] != key)
            slot = (slot + 1) & memory->slot_mask;
        memory->slot_keys[order][slot] = key;
        memory->active_slot[order] = (int64_t)slot;
        memory->active[order] = memory->slots[order][slot] - 1;
    }
    if (memory->match_source >= 0) return;
    for (int order = 3; order >= 2; order--) {
        if (memory->active[order] < 0) continue;
        const int64_t source = memory->contexts[order][memory->active[order]].last;
        int64_t length = 0;
        while (length < source && length < LONGEST_MATCH &&
               history[source - 1 - length] == history[position - 1 - length])
            length++;
        memory->match_source = source;
        memory->match_length = length;
        return;
    }
}

/* The token that the copy expert expects, or -1. */
INLINE int64_t copy_token(const Memory *memory) {
    return memory->match_source < 0 ? -1 : memory->history[memory->match_source];
}

/* Bucket of the probability without the copy of the token to copy; 0 the likeliest. */
INLINE int copy_bucket(double likely) {
    int bucket = 0;
    double bound = 0.5;
    while (bucket < COPY_BUCKETS - 1 && likely < bound) {
        bucket++;
        bound *= 0.125;
    }
    return bucket;
}

INLINE int copy_length_row(const Memory *memory) {
    return memory->match_length < MATCH_LENGTHS - 1 ? (int)memory->match_length : MATCH_LENGTHS - 1;
}

/* Probability that the copy is right. */
INLINE double copy_trust(const Memory *memory, const Constants *constants, double likely) {
    const int row = copy_length_row(memory);
    const double expected = constants->copy[row][copy_bucket(likely)];
    const double hits = memory->copy_hits[row][0], trials = memory->copy_hits[row][1];
    return (hits + constants->copy_strength * expected) / (trials + constants->copy_strength);
}

/* Bucket of the probability of the likeliest token. */
INLINE int confidence_bucket(double confidence) {
    return confidence > 0.9 ? 3 : confidence > 0.5 ? 2 : confidence > 0.2 ? 1 : 0;
}

/* The situation: longest known context, how sure it looks, how sure the prediction without it is. */
INLINE int gate_of(const Memory *memory, double confidence) {
    int order = ORDERS - 1;
    while (order > 0 && memory->active[order] < 0) order--;
    int state = 2;
    if (memory->active[order] >= 0) {
        const Context *context = &memory->contexts[order][memory->active[order]];
        if (context->distinct == 1) state = context->total > 1 ? 1 : 0;
    }
    return (order * 3 + state) * CONFIDENCES + confidence_bucket(confidence);
}

/* The copy on offer: its length, and the probability of it without the copy; 0 for none. */
INLINE int copy_gate_of(const Memory *memory, double likely) {
    if (memory->match_source < 0) return 0;
    int row = 0;
    while (row < COPY_ROWS - 1 && memory->match_length > copy_row_lengths[row]) row++;
    return 1 + row * COPY_BUCKETS + copy_bucket(likely);
}

/* The record's weights times the factors of both gates; who has nothing to say gets 0. */
INLINE void mix_weights(Memory *memory, int gate, int copy_gate) {
    double total = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) {
        double weight = memory->weight[expert] * memory->gate[gate][expert];
        weight = weight * memory->copy_gate[copy_gate][expert];
        if ((expert == COPY_EXPERT && memory->match_source < 0) ||
            (1 < expert && expert < COPY_EXPERT && memory->active[expert - 1] < 0) ||
            (expert == 1 && memory->position == 0))
            weight = 0.0;
        memory->mixed[expert] = weight;
        total += weight;
    }
    for (int expert = 0; expert < EXPERTS; expert++) memory->mixed[expert] /= total;
}

INLINE double context_spread(const Constants *constants, int order, const Context *context) {
    const double spread = constants->spread[order] * (double)context->distinct;
    return spread > constants->spread_floor[order] ? spread : constants->spread_floor[order];
}

INLINE double context_whole(const Constants *constants, int order, const Context *context, double spread) {
    const double taken = constants->discount[order] * (double)context->distinct;
    return (double)context->total - taken + spread;
}

/* The node that counts a token in a context, or -1. */
INLINE int64_t find_node(const Memory *memory, int order, int64_t context, int64_t token) {
    if (order == 0) return (int64_t)memory->node_of_token[token] - 1;
    const Node *nodes = memory->nodes[order];
    int64_t node = memory->contexts[order][context].first_node;
    while (node >= 0 && nodes[node].token != token) node = nodes[node].next;
    return node;
}

/* What each expert gave to a token, into memory->chain. */
INLINE void token_probabilities(Memory *memory, const Constants *constants, int64_t token, double predicted,
                                double trust) {
    memory->chain[NETWORK_EXPERT] = predicted;
    double below = predicted;
    for (int order = 0; order < ORDERS; order++) {
        if (memory->active[order] >= 0) {
            const Context *context = &memory->contexts[order][memory->active[order]];
            const double spread = context_spread(constants, order, context);
            const double whole = context_whole(constants, order, context, spread);
            const int64_t node = find_node(memory, order, memory->active[order], token);
            const double count = node >= 0 ? (double)memory->nodes[order][node].count - constants->discount[order] : 0.0;
            below = (count + spread * below) / whole;
        }
        memory->chain[1 + order] = below;
    }
    const double hit = copy_token(memory) == token ? 1.0 : 0.0;
    memory->chain[COPY_EXPERT] = trust * hit + (1.0 - trust) * below;
}

/* Of a weight from longer contexts: returns what one count of this order's is worth, and leaves in `weight` what is left
 * for shorter ones. */
INLINE double memory_level(const Memory *memory, const Constants *constants, int order, double *weight) {
    const double here = *weight + memory->mixed[1 + order];
    *weight = here;
    if (memory->active[order] < 0) return 0.0;
    const Context *context = &memory->contexts[order][memory->active[order]];
    const double spread = context_spread(constants, order, context);
    const double whole = context_whole(constants, order, context, spread);
    *weight = here * spread / whole;
    return here * SCALE / whole;
}

/* The mixture as integers into out_V, and the sums of each BLOCK of them; returns their sum, 0 if the version's numbers make
 * none. */
static int64_t fill_frequencies(const Memory *memory, const Constants *constants, const int32_t *restrict base_V,
                                int64_t base_total, double trust, int vocab, int32_t *restrict out_V,
                                int64_t *restrict blocks) {
    double weight = memory->mixed[COPY_EXPERT];
    const int64_t copied = copy_token(memory);
    const int32_t copied_extra = whole_units(weight * trust * SCALE);
    weight = weight * (1.0 - trust);
    /* from the longest context down, how much of the mixture reaches each level */
    double rest = weight;
    for (int order = ORDERS - 1; order >= 0; order--) memory_level(memory, constants, order, &rest);
    rest = rest + memory->mixed[NETWORK_EXPERT];
    if (!(rest >= 0.0 && rest <= 1.5)) return 0;
    const float factor = (float)(rest * SCALE / (double)base_total);
    int64_t total = 0;
    for (int begin = 0; begin < vocab; begin += BLOCK) {
        const int end = begin + BLOCK < vocab ? begin + BLOCK : vocab;
        int32_t sum = 0;
        for (int token = begin; token < end; token++) {
            const int32_t frequency = (int32_t)((float)base_V[token] * factor) + 1;
            out_V[token] = frequency;
            sum += frequency;
        }
        blocks[begin / BLOCK] = sum;
        total += sum;
    }
    for (int order = ORDERS - 1; order >= 0; order--) {
        const double unit = memory_level(memory, constants, order, &weight);
        if (!(unit > 0.0)) continue;
        const Node *nodes = memory->nodes[order];
        const double discount = constants->discount[order];
        for (int64_t node = memory->contexts[order][memory->active[order]].first_node; node >= 0; node = nodes[node].next) {
            const int32_t extra = whole_units(((double)nodes[node].count - discount) * unit);
            out_V[nodes[node].token] += extra;
            blocks[nodes[node].token / BLOCK] += extra;
            total += extra;
        }
    }
    if (copied >= 0) {
        out_V[copied] += copied_extra;
        blocks[copied / BLOCK] += copied_extra;
        total += copied_extra;
    }
    return total < (int64_t)1 << 32 ? total : 0;
}

/* No factor may run away in a record of any length. */
INLINE double bounded_factor(double factor) {
    factor = factor > 1.0 / GATE_LIMIT ? factor : 1.0 / GATE_LIMIT;
    return factor < GATE_LIMIT ? factor : GATE_LIMIT;
}

INLINE void follow_match(Memory *memory, int64_t token) {
    if (memory->match_source < 0) return;
    const int row = copy_length_row(memory);
    memory->copy_hits[row][1] += 1.0;
    if (memory->history[memory->match_source] == token) {
        memory->copy_hits[row][0] += 1.0;
        memory->match_source++;
        memory->match_length++;
    } else {
        memory->match_source = -1;
        memory->match_length = 0;
    }
}

INLINE void count_token(Memory *memory, int order, int64_t token, int64_t position) {
    int64_t index = memory->active[order];
    if (index < 0) {
        index = memory->n_contexts[order]++;
        memory->slots[order][memory->active_slot[order]] = (int32_t)index + 1;
        memory->contexts[order][index] = (Context){.first_node = -1};
    }
    Context *context = &memory->contexts[order][index];
    context->total++;
    context->last = (int32_t)position;
    Node *nodes = memory->nodes[order];
    int64_t node = find_node(memory, order, index, token);
    if (node >= 0) {
        nodes[node].count++;
        return;
    }
    node = memory->n_nodes[order]++;
    nodes[node] = (Node){.token = (int32_t)token, .count = 1, .next = context->first_node};
    context->first_node = (int32_t)node;
    context->distinct++;
    if (order == 0) memory->node_of_token[token] = (int32_t)node + 1;
}

/* After a token is known and memory->chain holds its probabilities: weights, counts, match. */
INLINE void learn(Memory *memory, const Constants *constants, int64_t token, int gate, int copy_gate) {
    double mixture = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) mixture += memory->mixed[expert] * memory->chain[expert];
    double total = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) {
        const double posterior = memory->mixed[expert] * memory->chain[expert] / mixture;
        const double step = constants->gate_rate * (posterior - memory->mixed[expert]);
        memory->gate[gate][expert] = bounded_factor(memory->gate[gate][expert] * (1.0 + step));
        memory->copy_gate[copy_gate][expert] = bounded_factor(memory->copy_gate[copy_gate][expert] * (1.0 + step));
        memory->weight[expert] *= memory->chain[expert];
        total += memory->weight[expert];
    }
    for (int expert = 0; expert < EXPERTS; expert++)
        memory->weight[expert] =
            memory->weight[expert] / total * (1.0 - constants->share) + constants->prior[expert] * constants->share;
    follow_match(memory, token);
    const int64_t position = memory->position;
    for (int order = 0; order < ORDERS && order <= position; order++) count_token(memory, order, token, position);
    memory->history[position] = (int32_t)token;
    memory->position = position + 1;
}

#endif
