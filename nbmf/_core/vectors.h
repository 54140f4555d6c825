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
static int decode_vector(const VectorSpace *space, const VectorStep *step, VectorWork *work, const uint8_t *stream, size_t length) {
    RangeCoder coder;
    start_decoder(&coder, stream, length);
    int state = 0;
    int32_t energy = 1 << ENERGY_BITS;
    uint64_t level_energy = 0;
    for (int i = 0; i < space->latents; i++) {
        const int of_union = union_of(state);
        const Expected expected = expected_index(space, step, i, energy);
        const int32_t index = decode_index(&coder, table_of(space, expected, of_union, step->with_zero_L[i]), expected.shift);
        const int64_t level = level_of(index, of_union, step->with_zero_L[i]);
        if (level > LARGEST_LEVEL || level < -LARGEST_LEVEL) return -1;
        work->level_L[i] = (int16_t)level;
        level_energy += (uint64_t)(level * level);
        state = next_state(state, index);
        energy = followed(space, step, i, energy, (uint64_t)(4 * level * level + 1));
    }
    return level_energy > MOST_LEVEL_ENERGY ? -1 : 0;
}

static size_t encode_levels(const VectorSpace *space, const VectorStep *step, const VectorWork *work, uint8_t *out) {
    RangeCoder coder;
    start_encoder(&coder, out);
    int32_t energy = 1 << ENERGY_BITS;
    for (int i = 0; i < space->latents; i++) {
        const Expected expected = expected_index(space, step, i, energy);
        const IndexTable *table = table_of(space, expected, work->used_L[i], step->with_zero_L[i]);
        encode_index(&coder, table, expected.shift, work->index_L[i]);
        const int64_t level = work->level_L[i];
        energy = followed(space, step, i, energy, (uint64_t)(4 * level * level + 1));
    }
    RangeCoder last = coder; /* so that nothing else points to the one of the loop */
    return finish_encoder(&last);
}

/* ---- whole vectors ---- */

/* Into latent_L, in norms; `factor` is what makes the vector one of norm 1. */
static void analyse_vector(const VectorSpace *space, const double *x_D, double factor, VectorWork *work) {
    const int dims = space->dims;
    if (!space->forward_LD) {
        const double unit = 1.0 / (1 << 22);
        for (int i = 0; i < dims; i++) work->rotated_D[i] = (int32_t)rint(x_D[i] * factor * (1 << 22));
        rotate(space, work->rotated_D);
        for (int i = 0; i < dims; i++) work->latent_L[i] = (float)(work->rotated_D[i] * unit);
        return;
    }
    const double unit = 1.0 / ((double)LARGEST_LEVEL * (1 << FITTED_BITS));
    for (int i = 0; i < dims; i++) work->input_D[i] = (int16_t)rint(x_D[i] * factor * LARGEST_LEVEL);
    vector_products(space->forward_LD, space->latents, space->dims_stride, work->input_D, work->product_D);
    for (int i = 0; i < space->latents; i++)
        work->latent_L[i] = (float)(work->product_D[i] * unit - space->mean_L[i]);
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
    return (int64_t)encode_levels(space, step, work, out);
}

#endif
