/* The semantic vector coder (vector_types.h). Decoding is integers throughout, but for the last step, which makes a float of
 * an integer times a power of 2; so it gives the same bits everywhere. Encoding uses floats: one IEEE 754 operation at a
 * time, so it gives the same stream, too, but nothing depends on that.
 */
#ifndef NBMF_VECTORS_H
#define NBMF_VECTORS_H

#include <math.h>
#include <string.h>

#include "range_coder.h"
#include "vector_transform.h"
#include "vector_trellis.h"

/* ---- the stream ---- */

INLINE void encode_index(RangeCoder *coder, const IndexTable *table, int shift, int32_t index) {
    const int32_t high = index >> shift;
    const int most = table->most, escaped = high < -most || high > most;
    const int symbol = escaped ? 2 * most + 1 : high + most;
    const uint32_t before = table->sums[symbol];
    encode_of_power(coder, before, table->sums[symbol + 1] - before, SYMBOL_BITS);
    if (escaped) { /* sign, length in unary, and the bits below the first */
        const uint32_t beyond = (uint32_t)(high < 0 ? -high - most : high - most);
        const int length = 31 - __builtin_clz(beyond);
        encode_symbol(coder, high < 0, 1, 2);
        for (int i = 0; i < length; i++) encode_symbol(coder, 1, 1, 2);
        encode_symbol(coder, 0, 1, 2);
        if (length) encode_symbol(coder, beyond & ((1u << length) - 1), 1, (uint64_t)1 << length);
    }
    if (shift) encode_symbol(coder, (uint32_t)index & ((1u << shift) - 1), 1, (uint64_t)1 << shift);
}

INLINE int32_t decode_bits(RangeCoder *coder, int bits) {
    const uint64_t value = decode_target(coder, (uint64_t)1 << bits);
    decode_advance(coder, value, 1, (uint64_t)1 << bits);
    return (int32_t)value;
}

INLINE int32_t decode_index(RangeCoder *coder, const IndexTable *table, int shift) {
    const uint32_t target = (uint32_t)decode_target(coder, 1 << SYMBOL_BITS);
    int symbol = table->starts[target >> (SYMBOL_BITS - START_BITS)];
    while (table->sums[symbol + 1] <= target) symbol++;
    const uint32_t before = table->sums[symbol];
    decode_advance(coder, before, table->sums[symbol + 1] - before, 1 << SYMBOL_BITS);
    int32_t high = symbol - table->most;
    if (high > table->most) {
        const int negative = decode_bits(coder, 1);
        int length = 0;
        while (length < MOST_ESCAPE_BITS && decode_bits(coder, 1)) length++;
        const int32_t beyond = length ? 1 << length | decode_bits(coder, length) : 1;
        high = negative ? -table->most - beyond : table->most + beyond;
    }
    return shift ? high * (1 << shift) + decode_bits(coder, shift) : high;
}

/* 0, or -1 if no encoder writes such levels. */
INLINE int decode_levels(const VectorSpace *space, const VectorStep *step, VectorWork *work, const uint8_t *stream, size_t length,
                         int fitted) {
    const VectorSpace of = *space;
    const VectorStep at = *step;
    int16_t *level_L = work->level_L;
    RangeCoder coder;
    start_decoder(&coder, stream, length);
    int state = 0;
    int32_t energy = 1 << ENERGY_BITS;
    uint64_t level_energy = 0;
    for (int i = 0; i < of.latents; i++) {
        const int of_union = union_of(state);
        const Expected expected = expected_index(&of, &at, i, energy, fitted);
        const int32_t index = decode_index(&coder, table_of(&of, expected, of_union, at.with_zero_L[i]), expected.shift);
        const int64_t level = level_of(index, of_union, at.with_zero_L[i]);
        if (level > LARGEST_LEVEL || level < -LARGEST_LEVEL) return -1;
        level_L[i] = (int16_t)level;
        level_energy += (uint64_t)(level * level);
        state = next_state(state, index);
        energy = followed(&of, &at, i, energy, (uint64_t)(4 * level * level + 1), fitted);
    }
    return level_energy > MOST_LEVEL_ENERGY ? -1 : 0;
}

static int decode_vector(const VectorSpace *space, const VectorStep *step, VectorWork *work, const uint8_t *stream, size_t length) {
    return space->gain_L ? decode_levels(space, step, work, stream, length, 1)
                         : decode_levels(space, step, work, stream, length, 0);
}

INLINE size_t encode_levels(const VectorSpace *space, const VectorStep *step, const VectorWork *work, uint8_t *out, int fitted) {
    const VectorSpace of = *space; /* copies, so that no byte that is written may change a pointer */
    const VectorStep at = *step;
    const VectorWork from = *work;
    RangeCoder coder;
    start_encoder(&coder, out);
    int32_t energy = 1 << ENERGY_BITS;
    for (int i = 0; i < of.latents; i++) {
        const Expected expected = expected_index(&of, &at, i, energy, fitted);
        const IndexTable *table = table_of(&of, expected, from.used_L[i], at.with_zero_L[i]);
        encode_index(&coder, table, expected.shift, from.index_L[i]);
        const int64_t level = from.level_L[i];
        energy = followed(&of, &at, i, energy, (uint64_t)(4 * level * level + 1), fitted);
    }
    RangeCoder last = coder; /* so that nothing else points to the one of the loop */
    return finish_encoder(&last);
}

/* ---- whole vectors ---- */

/* Into latent_L, in norms; `factor_V` are what makes the vectors [V, D] ones of norm 1. */
static void analyse_vectors(const VectorSpace *space, const double *x_VD, const double *factor_V, VectorWork *work_V, int count) {
    const int dims = space->dims;
    if (!space->forward_LD) {
        const double unit = 1.0 / (1 << 22);
        for (int v = 0; v < count; v++, x_VD += dims) {
            int32_t *rotated_D = work_V[v].rotated_D;
            for (int i = 0; i < dims; i++) rotated_D[i] = (int32_t)rint(x_VD[i] * factor_V[v] * (1 << 22));
            rotate(space, rotated_D);
            for (int i = 0; i < dims; i++) work_V[v].latent_L[i] = (float)(rotated_D[i] * unit);
        }
        return;
    }
    const double unit = 1.0 / ((double)LARGEST_LEVEL * (1 << FITTED_BITS));
    for (int v = 0; v < count; v++, x_VD += dims)
        for (int i = 0; i < dims; i++) work_V[v].input_D[i] = (int16_t)rint(x_VD[i] * factor_V[v] * LARGEST_LEVEL);
    vector_products(space->forward_LD, space->latents, space->dims_stride, work_V->input_D, count, work_V->product_D,
                    (size_t)space->dims_stride);
    for (int v = 0; v < count; v++)
        for (int i = 0; i < space->latents; i++)
            work_V[v].latent_L[i] = (float)(work_V[v].product_D[i] * unit - space->mean_L[i]);
}

/* Levels and stream of the latents at a step, or 0. */
static int64_t encode_vector(const VectorSpace *space, const VectorStep *step, VectorWork *work, double weight, uint8_t *out) {
    const double per_norm = 1 / step->half_step;
    double energy = 0, largest = 0;
    for (int i = 0; i < space->latents; i++) {
        const double x = work->latent_L[i] * per_norm;
        work->scaled_L[i] = (float)x;
        energy += x * x;
        if (fabs(x) > largest) largest = fabs(x);
    }
    if (largest > LARGEST_LEVEL - 8 || energy > MOST_LEVEL_ENERGY / 2) return 0;
    quantise(space, step, work, (float)weight);
    energy = 0;
    for (int i = 0; i < space->latents; i++) energy += (double)work->level_L[i] * work->level_L[i];
    if (energy > MOST_LEVEL_ENERGY) return 0;
    return (int64_t)(space->gain_L ? encode_levels(space, step, work, out, 1) : encode_levels(space, step, work, out, 0));
}

#endif
