/* Counts of token sequences in the training records: a predictor of table look-ups.
 *
 * A prediction interpolates the contexts of 1 to CONTEXTS tokens, longest first, each with absolute discounting and a weight
 * of the shorter one that grows with the number of distinct followers (Witten & Bell 1991, Ney et al. 1994).
 */
#ifndef NBMF_COUNTS_H
#define NBMF_COUNTS_H

#include <math.h>

#include "products.h"

#define MOST_UNITS (1.25 * SCALE) /* six such parts still fit 32 bits */

/* What a part of the mixture is in whole units: SCALE at most, but where a version's numbers make no sense. */
INLINE int32_t whole_units(double units) {
    units = floor(units);
    return units > 0.0 ? units < MOST_UNITS ? (int32_t)units : (int32_t)MOST_UNITS : 0;
}

INLINE int follower_token(const Counts *counts, int64_t node) { return counts->low_N[node] | counts->high_N[node] << 8; }

INLINE int symbol_of(const Vocabulary *vocab, int token) {
    return token < vocab->singles ? token : vocab->singles + ((token - vocab->singles) >> vocab->shift);
}

/* The first token of a cluster; one behind its last is the next cluster's first. */
INLINE int first_of_cluster(const Vocabulary *vocab, int cluster) { return vocab->singles + (cluster << vocab->shift); }

/* Of the followers from `low` on the first whose token is not below `token`; `high` if there is none. */
INLINE int32_t follower_from(const Counts *counts, int32_t low, int32_t high, int64_t token) {
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (follower_token(counts, middle) < token) low = middle + 1;
        else high = middle;
    }
    return low;
}

INLINE void forget_context(Followed *known) { *known = (Followed){.context = -1}; }

INLINE void know_context(const Counts *counts, Followed *known, int64_t context) {
    int32_t begin = counts->begin_B[context / FOLLOWER_BLOCK];
    for (int64_t other = context / FOLLOWER_BLOCK * FOLLOWER_BLOCK; other < context; other++)
        begin += counts->followers_C[other];
    known->context = context;
    known->begin = begin;
    known->count = counts->followers_C[context];
    for (int32_t node = begin, i = 0; i < 4 && node < begin + known->count; node += CHUNK, i++) {
        __builtin_prefetch(counts->low_N + node);
        __builtin_prefetch(counts->high_N + node);
        __builtin_prefetch(counts->code_N + node);
    }
    int64_t followed = 0;
    if (context < counts->vocab.size + EXTRA_TOKENS) followed = counts->followed_S[context];
    else
        for (int32_t node = begin; node < begin + known->count; node++) followed += counts->value_of_code[counts->code_N[node]];
    known->followed = (double)followed;
}

/* Takes in one token. */
INLINE void follow(const Counts *counts, Followed *known, int64_t token) {
    for (int length = CONTEXTS - 1; length > 0; length--) {
        const Followed shorter = known[length - 1];
        forget_context(&known[length]);
        if (shorter.context < 0) continue;
        const int32_t end = shorter.begin + shorter.count, node = follower_from(counts, shorter.begin, end, token);
        if (node < end && follower_token(counts, node) == token) know_context(counts, &known[length], node);
    }
    know_context(counts, &known[0], token);
}

/* Length of the longest context that has followers, 0 for none. */
INLINE int longest_context(const Followed *known) {
    for (int length = CONTEXTS; length > 0; length--)
        if (known[length - 1].context >= 0 && known[length - 1].count > 0) return length;
    return 0;
}

/* A context that `weight` reaches: returns what one counted follower is worth, and leaves in `weight` what is left for
 * shorter contexts. */
INLINE double counts_level(const Counts *counts, int order, const Followed *known, double *weight) {
    if (known->count == 0) return 0.0;
    const double distinct = (double)known->count;
    const double of_itself = counts->count_of_code[counts->code_N[known->context]];
    const double seen = of_itself > known->followed ? of_itself : known->followed;
    const double whole = seen + counts->spread[order] * distinct + counts->spread_floor[order];
    const double given = known->followed - counts->discount[order] * distinct;
    const double unit = *weight * SCALE / whole;
    *weight = *weight * ((whole - given) / whole);
    return unit;
}

/* Adds what some followers of a context are worth: from the token `base` on, 1 << shift of them share a place in `out`. Long
 * lists are gone through in STRANDS at once, as neighbours share a place and would wait for each other. */
INLINE void add_followers(const Counts *counts, int32_t node, int32_t end, double discount, double unit, int base, int shift,
                          int32_t *out) {
    const uint8_t *code_N = counts->code_N;
    if (end - node <= 2 * counts->codes) {
        for (; node < end; node++)
            out[(follower_token(counts, node) - base) >> shift] +=
                whole_units((counts->count_of_code[code_N[node]] - discount) * unit);
        return;
    }
    int32_t worth[256]; /* fewer than the followers */
    for (int code = 0; code < counts->codes; code++) worth[code] = whole_units((counts->count_of_code[code] - discount) * unit);
    enum { STRANDS = 4 };
    const int32_t strand = (end - node) / STRANDS;
    for (const int32_t first = node + strand; node < first; node++)
        for (int32_t other = node, i = 0; i < STRANDS; i++, other += strand)
            out[(follower_token(counts, other) - base) >> shift] += worth[code_N[other]];
    for (node += (STRANDS - 1) * strand; node < end; node++)
        out[(follower_token(counts, node) - base) >> shift] += worth[code_N[node]];
}

/* What of a probability of 1 is left for single tokens when all contexts have had their share. */
INLINE float unigram_weight(const Counts *counts, const Followed *known) {
    double weight = 1.0;
    for (int order = CONTEXTS - 1; order >= 0; order--)
        if (known[order].context >= 0) counts_level(counts, order, &known[order], &weight);
    return weight >= 0.0 && weight <= 1.0 ? (float)weight : 1.0f;
}

INLINE int64_t sum_and_best(const int32_t *restrict frequency, int count, int32_t *best) {
    int64_t total = 0;
    int32_t highest = 0;
    for (int i = 0; i < count; i++) {
        total += frequency[i];
        highest = frequency[i] > highest ? frequency[i] : highest;
    }
    *best = highest;
    return total;
}

/* The next symbol's frequencies into out_S; returns their sum. */
static int64_t fill_from_counts(const Counts *counts, const Followed *known, int32_t *restrict out_S, int32_t *best) {
    const float factor = unigram_weight(counts, known);
    const float *restrict unigram_S = counts->unigram_S;
    const int symbols = counts->vocab.symbols, singles = counts->vocab.singles;
    for (int symbol = 0; symbol < symbols; symbol++) out_S[symbol] = (int32_t)(unigram_S[symbol] * factor) + 1;
    double weight = 1.0;
    for (int order = CONTEXTS - 1; order >= 0; order--) {
        if (known[order].context < 0) continue;
        const double unit = counts_level(counts, order, &known[order], &weight);
        const double discount = counts->discount[order];
        const int32_t begin = known[order].begin, end = begin + known[order].count;
        const int32_t whole = symbols < counts->vocab.size ? follower_from(counts, begin, end, singles) : end;
        add_followers(counts, begin, whole, discount, unit, 0, 0, out_S);
        add_followers(counts, whole, end, discount, unit, singles, counts->vocab.shift, out_S + singles);
    }
    return sum_and_best(out_S, symbols, best);
}

/* The same of the tokens of a cluster, whose probability was `share`. Tells the length of the longest context that one of
 * them followed. */
static int64_t fill_members_from_counts(const Counts *counts, const Followed *known, int cluster, double share,
                                        int32_t *restrict out_Z, int32_t *best, int *longest) {
    const int begin = first_of_cluster(&counts->vocab, cluster), size = 1 << counts->vocab.shift;
    const float factor = (float)(unigram_weight(counts, known) / share);
    const float *restrict unigram_V = counts->unigram_V + begin;
    for (int place = 0; place < size; place++) {
        const float units = unigram_V[place] * factor;
        out_Z[place] = (units < (float)SCALE ? (int32_t)units : SCALE) + 1;
    }
    double weight = 1.0 / share;
    *longest = 0;
    for (int order = CONTEXTS - 1; order >= 0; order--) {
        if (known[order].context < 0) continue;
        const double unit = counts_level(counts, order, &known[order], &weight);
        const int32_t end = known[order].begin + known[order].count;
        const int32_t from = follower_from(counts, known[order].begin, end, begin);
        const int32_t to = follower_from(counts, from, end, begin + size);
        if (to > from && order + 1 > *longest) *longest = order + 1;
        add_followers(counts, from, to, counts->discount[order], unit, begin, 0, out_Z);
    }
    return sum_and_best(out_Z, size, best);
}

#endif
