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

/* Takes in one token. */
INLINE void follow(const Counts *counts, int64_t *contexts, int64_t token) {
    for (int length = CONTEXTS - 1; length > 0; length--) {
        const int64_t context = contexts[length - 1];
        contexts[length] = -1;
        if (context < 0) continue;
        int64_t low = counts->first_C[context], high = counts->first_C[context + 1];
        const int64_t end = high;
        while (low < high) {
            const int64_t middle = (low + high) >> 1;
            if (counts->token_N[middle] < token) low = middle + 1;
            else high = middle;
        }
        if (low < end && counts->token_N[low] == token) contexts[length] = low;
    }
    contexts[0] = token;
}

/* Length of the longest context that has followers, 0 for none. */
INLINE int longest_context(const Counts *counts, const int64_t *contexts) {
    for (int length = CONTEXTS; length > 0; length--) {
        const int64_t context = contexts[length - 1];
        if (context >= 0 && counts->first_C[context + 1] > counts->first_C[context]) return length;
    }
    return 0;
}

/* A context that `weight` reaches: returns what one counted follower is worth, and leaves in `weight` what is left for
 * shorter contexts. */
INLINE double counts_level(const Counts *counts, int order, int64_t context, double *weight) {
    const double distinct = (double)(counts->first_C[context + 1] - counts->first_C[context]);
    if (distinct == 0.0) return 0.0;
    const double followed = (double)counts->followed_C[context];
    const double of_itself = counts->count_of_code[counts->code_N[context]];
    const double seen = of_itself > followed ? of_itself : followed;
    const double whole = seen + counts->spread[order] * distinct + counts->spread_floor[order];
    const double given = followed - counts->discount[order] * distinct;
    const double unit = *weight * SCALE / whole;
    *weight = *weight * ((whole - given) / whole);
    return unit;
}

/* The next token's frequencies into out_V; returns their sum. */
static int64_t fill_from_counts(const Counts *counts, const int64_t *contexts, int32_t *restrict out_V, int32_t *best) {
    double weight = 1.0;
    for (int order = CONTEXTS - 1; order >= 0; order--)
        if (contexts[order] >= 0) counts_level(counts, order, contexts[order], &weight);
    const float factor = weight >= 0.0 && weight <= 1.0 ? (float)weight : 1.0f;
    const float *restrict unigram_V = counts->unigram_V;
    for (int token = 0; token < counts->vocab; token++) out_V[token] = (int32_t)(unigram_V[token] * factor) + 1;
    weight = 1.0;
    for (int order = CONTEXTS - 1; order >= 0; order--) {
        const int64_t context = contexts[order];
        if (context < 0) continue;
        const double unit = counts_level(counts, order, context, &weight), discount = counts->discount[order];
        for (int64_t node = counts->first_C[context]; node < counts->first_C[context + 1]; node++)
            out_V[counts->token_N[node]] += whole_units((counts->count_of_code[counts->code_N[node]] - discount) * unit);
    }
    int64_t total = 0;
    int32_t highest = 0;
    for (int token = 0; token < counts->vocab; token++) {
        total += out_V[token];
        highest = out_V[token] > highest ? out_V[token] : highest;
    }
    *best = highest;
    return total;
}

#endif
