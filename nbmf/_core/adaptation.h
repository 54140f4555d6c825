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
static void start_memory(Memory *memory, const Constants *constants, const Vocabulary *vocab) {
    memory->position = 0;
    memory->match_source = -1;
    memory->match_length = 0;
    memory->flat = 0;
    for (int order = 0; order < ORDERS; order++) {
        memory->n_contexts[order] = memory->n_nodes[order] = 0;
        memset(memory->slots[order], 0, (size_t)(memory->slot_mask + 1) * sizeof *memory->slots[order]);
    }
    memset(memory->node_of_token, 0, (size_t)vocab->size * sizeof *memory->node_of_token);
    memset(memory->copy_hits, 0, sizeof memory->copy_hits);
    const int steps = vocab->symbols < vocab->size ? STEPS : 1;
    for (int step = 0; step < steps; step++) {
        memcpy(memory->weight[step], constants->prior[step], sizeof memory->weight[step]);
        memcpy(memory->gate[step], constants->gate[step], sizeof memory->gate[step]);
        memcpy(memory->copy_gate[step], constants->copy_gate[step], sizeof memory->copy_gate[step]);
    }
    for (int length = 0; length < CONTEXTS; length++) forget_context(&memory->followed[length]);
}

/* What comes next begins a record of a type, behind others: it follows a mark of the type, which is counted nowhere. */
static void begin_behind(Memory *memory, int64_t type_id) {
    memory->history[memory->position++] = -1 - (int32_t)type_id;
    memory->match_source = -1;
    memory->match_length = 0;
}

/* What another has learnt comes into one that has just been started, and has room for it. */
static void copy_counts(Memory *to, const Memory *from, const Vocabulary *vocab) {
    to->position = from->position;
    memcpy(to->history, from->history, (size_t)from->position * sizeof *to->history);
    memcpy(to->node_of_token, from->node_of_token, (size_t)vocab->size * sizeof *to->node_of_token);
    for (int order = 0; order < ORDERS; order++) {
        to->n_contexts[order] = from->n_contexts[order];
        to->n_nodes[order] = from->n_nodes[order];
        memcpy(to->contexts[order], from->contexts[order], (size_t)from->n_contexts[order] * sizeof *to->contexts[order]);
        memcpy(to->nodes[order], from->nodes[order], (size_t)from->n_nodes[order] * sizeof *to->nodes[order]);
        for (uint64_t place = 0; place <= from->slot_mask; place++) {
            if (from->slots[order][place] == 0) continue;
            const uint64_t key = from->slot_keys[order][place];
            uint64_t slot = key & to->slot_mask;
            while (to->slots[order][slot] != 0) slot = (slot + 1) & to->slot_mask;
            to->slots[order][slot] = from->slots[order][place];
            to->slot_keys[order][slot] = key;
        }
    }
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
    if (memory->match_source >= 0 && history[memory->match_source] >= 0) return;
    memory->match_source = -1; /* none, or it has come to the end of its record */
    memory->match_length = 0;
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
INLINE double copy_trust(const Memory *memory, const Constants *constants, int step, double likely) {
    const int row = copy_length_row(memory);
    const double expected = constants->copy[step][row][copy_bucket(likely)], strength = constants->copy_strength[step];
    const double hits = memory->copy_hits[step][row][0], trials = memory->copy_hits[step][row][1];
    return (hits + strength * expected) / (trials + strength);
}

/* Bucket of the probability of the likeliest token. */
INLINE int confidence_bucket(double confidence) {
    return confidence > 0.9 ? 3 : confidence > 0.5 ? 2 : confidence > 0.2 ? 1 : 0;
}

/* The situation: longest context with something to say, how sure it looks, how sure the prediction without it is. */
INLINE int gate_of(const Memory *memory, int step, double confidence) {
    int order = ORDERS - 1;
    while (order > 0 && (step ? memory->seen[order].distinct == 0 : memory->active[order] < 0)) order--;
    Seen seen = {0};
    if (step) seen = memory->seen[order];
    else if (memory->active[order] >= 0) {
        const Context *context = &memory->contexts[order][memory->active[order]];
        seen = (Seen){context->total, context->distinct};
    }
    const int state = seen.distinct != 1 ? 2 : seen.total > 1;
    return (order * 3 + state) * CONFIDENCES + confidence_bucket(confidence);
}

/* The copy on offer: its length, and the probability of it without the copy; 0 for none. */
INLINE int copy_gate_of(const Memory *memory, int64_t copied, double likely) {
    if (copied < 0) return 0;
    int row = 0;
    while (row < COPY_ROWS - 1 && memory->match_length > copy_row_lengths[row]) row++;
    return 1 + row * COPY_BUCKETS + copy_bucket(likely);
}

/* The record's weights times the factors of both gates; who has nothing to say gets 0. */
INLINE void mix_weights(Memory *memory, int step, int gate, int copy_gate) {
    double total = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) {
        double weight = memory->weight[step][expert] * memory->gate[step][gate][expert];
        weight = weight * memory->copy_gate[step][copy_gate][expert];
        const int order = expert - 1;
        if (expert == COPY_EXPERT ? copy_gate == 0
            : expert == NETWORK_EXPERT ? 0
                                       : memory->active[order] < 0 || (step && memory->seen[order].distinct == 0))
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

/* How often tokens from `begin` to `end` were seen in a context. */
INLINE Seen seen_in(const Memory *memory, int order, int64_t begin, int64_t end) {
    Seen seen = {0};
    if (memory->active[order] < 0) return seen;
    const Node *nodes = memory->nodes[order];
    if (end - begin == 1) {
        const int64_t node = find_node(memory, order, memory->active[order], begin);
        if (node >= 0) seen = (Seen){nodes[node].count, 1};
        return seen;
    }
    for (int64_t node = memory->contexts[order][memory->active[order]].first_node; node >= 0; node = nodes[node].next)
        if (nodes[node].token >= begin && nodes[node].token < end) {
            seen.total += nodes[node].count;
            seen.distinct++;
        }
    return seen;
}

/* What each expert but the copy gave to tokens from `begin` to `end`, into chain_E, given what was predicted of them. */
INLINE void chain_of(const Memory *memory, const Constants *constants, const Seen *seen_K, double predicted, double *chain_E) {
    chain_E[NETWORK_EXPERT] = predicted;
    double below = predicted;
    for (int order = 0; order < ORDERS; order++) {
        if (memory->active[order] >= 0) {
            const Context *context = &memory->contexts[order][memory->active[order]];
            const double spread = context_spread(constants, order, context);
            const double whole = context_whole(constants, order, context, spread);
            const double count = (double)seen_K[order].total - constants->discount[order] * (double)seen_K[order].distinct;
            below = (count + spread * below) / whole;
        }
        chain_E[1 + order] = below;
    }
}

/* What each expert gave to a symbol, its tokens from `begin` to `end`, into memory->chain. */
INLINE void symbol_probabilities(Memory *memory, const Constants *constants, int64_t begin, int64_t end, double predicted,
                                 double trust) {
    double *chain = memory->chain[0];
    for (int order = 0; order < ORDERS; order++) memory->seen[order] = seen_in(memory, order, begin, end);
    chain_of(memory, constants, memory->seen, predicted, chain);
    const int64_t copied = copy_token(memory);
    const double hit = copied >= begin && copied < end ? 1.0 : 0.0;
    chain[COPY_EXPERT] = trust * hit + (1.0 - trust) * chain[ORDERS];
}

/* What each gave to a token of that symbol, a cluster: the token's probability over the cluster's. */
INLINE void member_probabilities(Memory *memory, const Constants *constants, int64_t token, double predicted, double trust) {
    const double *whole = memory->chain[0];
    double *chain = memory->chain[1];
    Seen seen[ORDERS];
    for (int order = 0; order < ORDERS; order++) seen[order] = seen_in(memory, order, token, token + 1);
    chain_of(memory, constants, seen, predicted * whole[NETWORK_EXPERT], chain);
    for (int expert = 0; expert <= ORDERS; expert++) chain[expert] /= whole[expert];
    const double hit = copy_token(memory) == token ? 1.0 : 0.0;
    chain[COPY_EXPERT] = trust * hit + (1.0 - trust) * chain[ORDERS];
}

/* Of a weight from longer contexts: returns what one count of this order's is worth, and leaves in `weight` what is left
 * for shorter ones. `own`: the weight of this order's expert. */
INLINE double memory_level(const Memory *memory, const Constants *constants, int order, double own, double *weight) {
    const double here = *weight + own;
    *weight = here;
    if (memory->active[order] < 0) return 0.0;
    const Context *context = &memory->contexts[order][memory->active[order]];
    const double spread = context_spread(constants, order, context);
    const double whole = context_whole(constants, order, context, spread);
    *weight = here * spread / whole;
    return here * SCALE / whole;
}

/* The mixture of symbols as integers into out_S, or of the tokens of a cluster, which `begin` is the first token of (else
 * -1); and the sums of each BLOCK of them. Returns their sum, 0 if the version's numbers make none. */
static int64_t fill_frequencies(const Memory *memory, const Constants *constants, const Vocabulary *vocab, int begin,
                                int64_t copied, double trust, const int32_t *restrict base_S, int64_t base_total,
                                int32_t *restrict out_S, int64_t *restrict blocks) {
    const int count = begin < 0 ? vocab->symbols : 1 << vocab->shift;
    const int32_t copied_extra = whole_units(memory->mixed[COPY_EXPERT] * trust * SCALE);
    /* of a cluster: what a token's share of all is worth as a share of the cluster's */
    double part[EXPERTS];
    for (int expert = 0; expert <= ORDERS; expert++)
        part[expert] = begin < 0 ? memory->mixed[expert] : memory->mixed[expert] / memory->chain[0][expert];
    double weight = memory->mixed[COPY_EXPERT] * (1.0 - trust);
    if (begin >= 0) weight /= memory->chain[0][ORDERS];
    /* from the longest context down, how much of the mixture reaches each level */
    double rest = weight;
    for (int order = ORDERS - 1; order >= 0; order--) memory_level(memory, constants, order, part[1 + order], &rest);
    rest = rest + part[NETWORK_EXPERT];
    if (begin >= 0) rest *= memory->chain[0][NETWORK_EXPERT];
    if (!(rest >= 0.0 && rest <= 1.5)) return 0;
    const float factor = (float)(rest * SCALE / (double)base_total);
    int64_t total = 0;
    for (int from = 0; from < count; from += BLOCK) {
        const int to = from + BLOCK < count ? from + BLOCK : count;
        int32_t sum = 0;
        for (int symbol = from; symbol < to; symbol++) {
            const int32_t frequency = (int32_t)((float)base_S[symbol] * factor) + 1;
            out_S[symbol] = frequency;
            sum += frequency;
        }
        blocks[from / BLOCK] = sum;
        total += sum;
    }
    for (int order = ORDERS - 1; order >= 0; order--) {
        const double unit = memory_level(memory, constants, order, part[1 + order], &weight);
        if (!(unit > 0.0) || (begin >= 0 && memory->seen[order].distinct == 0)) continue;
        const Node *nodes = memory->nodes[order];
        const double discount = constants->discount[order];
        for (int64_t node = memory->contexts[order][memory->active[order]].first_node; node >= 0; node = nodes[node].next) {
            const int place = begin < 0 ? symbol_of(vocab, nodes[node].token) : nodes[node].token - begin;
            if (place < 0 || place >= count) continue;
            const int32_t extra = whole_units(((double)nodes[node].count - discount) * unit);
            out_S[place] += extra;
            blocks[place / BLOCK] += extra;
            total += extra;
        }
    }
    if (copied >= 0) {
        const int place = begin < 0 ? symbol_of(vocab, (int)copied) : (int)copied - begin;
        out_S[place] += copied_extra;
        blocks[place / BLOCK] += copied_extra;
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
    if (memory->history[memory->match_source] == token) {
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

/* After an outcome is known and memory->chain holds its probabilities: the step's weights. `hit`: whether a copy on offer
 * was right, -1 where there was none. */
INLINE void learn_weights(Memory *memory, const Constants *constants, int step, const Mixture *mixture, int hit) {
    const double *chain = memory->chain[step];
    double *weight = memory->weight[step], *gate = memory->gate[step][mixture->gate];
    double *copy_gate = memory->copy_gate[step][mixture->copy_gate];
    double whole = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) whole += memory->mixed[expert] * chain[expert];
    double total = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) {
        const double posterior = memory->mixed[expert] * chain[expert] / whole;
        const double change = constants->gate_rate[step] * (posterior - memory->mixed[expert]);
        gate[expert] = bounded_factor(gate[expert] * (1.0 + change));
        copy_gate[expert] = bounded_factor(copy_gate[expert] * (1.0 + change));
        weight[expert] *= chain[expert];
        total += weight[expert];
    }
    const double share = constants->share[step];
    for (int expert = 0; expert < EXPERTS; expert++)
        weight[expert] = weight[expert] / total * (1.0 - share) + constants->prior[step][expert] * share;
    if (hit < 0) return;
    double *hits = memory->copy_hits[step][copy_length_row(memory)];
    hits[0] += hit;
    hits[1] += 1.0;
}

/* After a token is known and its weights are learnt: counts, match. */
INLINE void learn(Memory *memory, int64_t token) {
    follow_match(memory, token);
    const int64_t position = memory->position;
    for (int order = 0; order < ORDERS && order <= position; order++) count_token(memory, order, token, position);
    memory->history[position] = (int32_t)token;
    memory->position = position + 1;
}

#endif
