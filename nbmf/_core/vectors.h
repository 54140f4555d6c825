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

/* What is behind an index's symbol: of one beyond the table sign, length in unary, and the bits below the first; and the bits
 * that are coded as they are. */
static void encode_rest(RangeCoder *coder, int most, int escaped, int shift, int32_t index) {
    const int32_t high = index >> shift;
    if (escaped) {
        const uint32_t beyond = (uint32_t)(high < 0 ? -high - most : high - most);
        const int length = 31 - __builtin_clz(beyond);
        encode_symbol(coder, high < 0, 1, 2);
        for (int i = 0; i < length; i++) encode_symbol(coder, 1, 1, 2);
        encode_symbol(coder, 0, 1, 2);
        if (length) encode_symbol(coder, beyond & ((1u << length) - 1), 1, (uint64_t)1 << length);
    }
    if (shift) encode_symbol(coder, (uint32_t)index & ((1u << shift) - 1), 1, (uint64_t)1 << shift);
}

/* Of all indices what is coded, so that the coder waits for no table: rest_L is 0, or the class, whether the index is beyond
 * its table, and the shift. */
INLINE void find_intervals(const VectorSpace *space, const VectorStep *step, const VectorWork *work, int fitted) {
    const VectorSpace of = *space; /* copies, so that no store may change a pointer */
    const VectorStep at = *step;
    const VectorWork from = *work;
    if (fitted) {
        for (int i = 0; i < of.latents; i++)
            from.ratio_L[i] = energy_ratio(&at, i, 4 * (uint32_t)(from.level_L[i] * from.level_L[i]) + 1);
        find_expected(&of, &at, from.ratio_L, from.expected_L);
    }
    int with_zero = at.with_zero_L[0];
    Expected expected = expected_of(at.deviation_L[0]);
    for (int i = 0; i < of.latents; i++) {
        if (fitted) {
            with_zero = at.with_zero_L[i];
            expected = from.expected_L[i];
        }
        const IndexTable *table = table_of(&of, expected, from.used_L[i], with_zero);
        const uint32_t most = (uint32_t)table->most, place = (uint32_t)(from.index_L[i] >> expected.shift) + most;
        const int escaped = place > 2 * most;
        const uint16_t *sums = table->sums + (escaped ? 2 * most + 1 : place);
        from.interval_L[i] = (uint32_t)sums[0] << 16 | (uint32_t)(sums[1] - sums[0]);
        from.rest_L[i] = escaped || expected.shift ? (uint16_t)(expected.class << 8 | escaped << 7 | expected.shift) : 0;
    }
}

/* The next index of a stream. */
INLINE void encode_next(const VectorSpace *space, const VectorWork *work, int i, RangeCoder *coder) {
    const uint32_t interval = work->interval_L[i], rest = work->rest_L[i];
    encode_of_power(coder, interval >> 16, interval & 65535, SYMBOL_BITS);
    if (rest) {
        RangeCoder other = *coder; /* nothing else points to the one of the loop, so that it stays in registers */
        encode_rest(&other, space->tables->tables[0][rest >> 8].most, rest >> 7 & 1, rest & 127, work->index_L[i]);
        *coder = other;
    }
}

/* One or two side by side, as each waits for itself. */
INLINE void encode_side_by_side(const VectorSpace *space, VectorStream *stream_V, int two) {
    const VectorSpace of = *space;
    const VectorWork first_work = *stream_V[0].work, second_work = *stream_V[two].work;
    RangeCoder first, second;
    start_encoder(&first, stream_V[0].out);
    start_encoder(&second, stream_V[two].out);
    for (int i = 0; i < of.latents; i++) {
        encode_next(&of, &first_work, i, &first);
        if (two) encode_next(&of, &second_work, i, &second);
    }
    RangeCoder last = first;
    stream_V[0].length = finish_encoder(&last);
    if (!two) return;
    last = second;
    stream_V[1].length = finish_encoder(&last);
}

/* Of vectors that quantise_vector has seen; sets lengths. */
static void encode_streams(const VectorSpace *space, VectorStream *stream_V, int count) {
    int v = 0;
    for (; v + 2 <= count; v += 2) encode_side_by_side(space, stream_V + v, 1);
    if (v < count) encode_side_by_side(space, stream_V + v, 0);
}

INLINE int32_t decode_bits(RangeCoder *coder, int bits) {
    const uint64_t value = decode_target(coder, (uint64_t)1 << bits);
    decode_advance(coder, value, 1, (uint64_t)1 << bits);
    return (int32_t)value;
}

INLINE int32_t decode_index(RangeCoder *coder, const IndexTable *table, int shift) {
    const uint32_t target = decode_target_of_power(coder, SYMBOL_BITS);
    int symbol = table->starts[target >> (SYMBOL_BITS - START_BITS)];
    while (table->sums[symbol + 1] <= target) symbol++;
    const uint32_t before = table->sums[symbol];
    decode_advance_of_power(coder, before, table->sums[symbol + 1] - before, SYMBOL_BITS);
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

/* A stream on its way. */
typedef struct {
    RangeCoder coder;
    int state;
    int32_t energy;
    uint64_t level_energy;
    int good; /* whether an encoder may have written it so far */
} Decoding;

INLINE void decode_level(const VectorSpace *space, const VectorStep *step, int i, int fitted, Decoding *one, int16_t *level_L) {
    const int of_union = union_of(one->state), with_zero = step->with_zero_L[fitted ? i : 0];
    const Expected expected = expected_index(space, step, fitted ? i : 0, one->energy, fitted);
    const int32_t index = decode_index(&one->coder, table_of(space, expected, of_union, with_zero), expected.shift);
    int64_t level = level_of(index, of_union, with_zero);
    if (level > LARGEST_LEVEL || level < -LARGEST_LEVEL) one->good = level = 0;
    level_L[i] = (int16_t)level;
    one->level_energy += (uint64_t)(level * level);
    one->state = next_state(one->state, index);
    if (fitted) one->energy = followed(space, i, one->energy, energy_ratio(step, i, (uint32_t)(4 * level * level + 1)));
}

INLINE void start_decoding_levels(Decoding *one, const VectorBody *body) {
    *one = (Decoding){.energy = 1 << ENERGY_BITS, .good = 1};
    start_decoder(&one->coder, body->stream, body->length);
}

/* Two streams side by side, as each waits for itself most of the time; or one. */
INLINE void decode_levels(const VectorSpace *space, const VectorWork *work_V, VectorBody *body_V, int two, int fitted) {
    const VectorSpace of = *space;
    const VectorStep first_step = *body_V[0].step, second_step = *body_V[two].step;
    int16_t *first_L = work_V[0].level_L, *second_L = work_V[two].level_L;
    Decoding first, second;
    start_decoding_levels(&first, &body_V[0]);
    start_decoding_levels(&second, &body_V[two]);
    for (int i = 0; i < of.latents; i++) {
        decode_level(&of, &first_step, i, fitted, &first, first_L);
        if (two) decode_level(&of, &second_step, i, fitted, &second, second_L);
    }
    body_V[0].good = first.good && first.level_energy <= MOST_LEVEL_ENERGY;
    if (two) body_V[1].good = second.good && second.level_energy <= MOST_LEVEL_ENERGY;
}

/* Into level_L; sets `good`. */
static void decode_vectors(const VectorSpace *space, VectorWork *work_V, VectorBody *body_V, int count) {
    for (int v = 0; v < count; v += 2) {
        const int two = v + 1 < count;
        if (space->gain_L && two) decode_levels(space, work_V + v, body_V + v, 1, 1);
        else if (space->gain_L) decode_levels(space, work_V + v, body_V + v, 0, 1);
        else if (two) decode_levels(space, work_V + v, body_V + v, 1, 0);
        else decode_levels(space, work_V + v, body_V + v, 0, 0);
    }
}

/* ---- whole vectors ---- */

enum { PARTS = 8 }; /* of a sum, so that it can be worked out side by side; the same ones on every path */

static double dot_product(const double *x, const double *y, int n) {
    double part[PARTS] = {0};
    int i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int j = 0; j < PARTS; j++) part[j] += x[i + j] * y[i + j];
    for (; i < n; i++) part[i % PARTS] += x[i] * y[i];
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
}

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

/* Levels of the latents at a step, and the intervals of their indices; 0 where they would be too large. */
static int quantise_vector(const VectorSpace *space, const VectorStep *step, VectorWork *work, double weight) {
    const int latents = space->latents;
    const double per_norm = 1 / step->half_step;
    double largest = 0;
    for (int i = 0; i < latents; i++) {
        const double x = work->latent_L[i] * per_norm;
        work->scaled_L[i] = (float)x;
        largest = fabs(x) > largest ? fabs(x) : largest;
    }
    if (largest > LARGEST_LEVEL - 8) return 0;
    if (largest * largest * latents > MOST_LEVEL_ENERGY / 4) { /* else the sum need not be known */
        double energy = 0;
        for (int i = 0; i < latents; i++) {
            const double x = work->latent_L[i] * per_norm;
            energy += x * x;
        }
        if (energy > MOST_LEVEL_ENERGY / 2) return 0;
    }
    quantise(space, step, work, (float)weight);
    int64_t energy = 0;
    for (int i = 0; i < latents; i++) energy += work->level_L[i] * work->level_L[i];
    if (energy > MOST_LEVEL_ENERGY) return 0;
    if (space->gain_L) find_intervals(space, step, work, 1);
    else find_intervals(space, step, work, 0);
    return 1;
}

#endif
