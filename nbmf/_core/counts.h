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

INLINE void forget_context(Followed *known) { *known = (Followed){.context = -1}; }

INLINE void know_context(const Counts *counts, Followed *known, int64_t context) {
    int32_t begin = counts->begin_B[context / FOLLOWER_BLOCK];
    for (int64_t other = context / FOLLOWER_BLOCK * FOLLOWER_BLOCK; other < context; other++)
        begin += counts->followers_C[other];
    known->context = context;
    known->begin = begin;
    known->count = counts->followers_C[context];
    int64_t followed = 0;
    if (context < counts->vocab + EXTRA_TOKENS) followed = counts->followed_S[context];
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
        int32_t low = shorter.begin, high = shorter.begin + shorter.count;
        while (low < high) {
            const int32_t middle = low + (high - low) / 2;
            if (follower_token(counts, middle) < token) low = middle + 1;
            else high = middle;
        }
        if (low < shorter.begin + shorter.count && follower_token(counts, low) == token)
            know_context(counts, &known[length], low);
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

/* Adds what each follower of a context is worth. */
INLINE void add_followers(const Counts *counts, const Followed *known, double discount, double unit, int32_t *out_V) {
    const uint8_t *code_N = counts->code_N;
    const int32_t end = known->begin + known->count;
    if (known->count <= 2 * counts->codes) {
        for (int32_t node = known->begin; node < end; node++)
            out_V[follower_token(counts, node)] += whole_units((counts->count_of_code[code_N[node]] - discount) * unit);
        return;
    }
    int32_t worth[256]; /* fewer than the followers */
    for (int code = 0; code < counts->codes; code++) worth[code] = whole_units((counts->count_of_code[code] - discount) * unit);
    for (int32_t node = known->begin; node < end; node++) out_V[follower_token(counts, node)] += worth[code_N[node]];
}

/* The next token's frequencies into out_V; returns their sum. */
static int64_t fill_from_counts(const Counts *counts, const Followed *known, int32_t *restrict out_V, int32_t *best) {
    double weight = 1.0;
    for (int order = CONTEXTS - 1; order >= 0; order--)
        if (known[order].context >= 0) counts_level(counts, order, &known[order], &weight);
    const float factor = weight >= 0.0 && weight <= 1.0 ? (float)weight : 1.0f;
    const float *restrict unigram_V = counts->unigram_V;
    const int vocab = counts->vocab;
    for (int token = 0; token < vocab; token++) out_V[token] = (int32_t)(unigram_V[token] * factor) + 1;
    weight = 1.0;
    for (int order = CONTEXTS - 1; order >= 0; order--) {
        if (known[order].context < 0) continue;
        const double unit = counts_level(counts, order, &known[order], &weight);
        add_followers(counts, &known[order], counts->discount[order], unit, out_V);
    }
    int64_t total = 0;
    int32_t highest = 0;
    for (int token = 0; token < vocab; token++) {
        total += out_V[token];
        highest = out_V[token] > highest ? out_V[token] : highest;
    }
    *best = highest;
    return total;
}

#endif
