/* The semantic vector coder (vector_types.h). Decoding is integers throughout, but for the last step, which makes a float of
 * an integer times a power of 2; so it gives the same bits everywhere. Encoding uses floats: one IEEE 754 operation at a
 * time, so it gives the same stream, too, but nothing depends on that.
 */
#ifndef NBMF_VECTORS_H
#define NBMF_VECTORS_H

#include <math.h>
#include <string.h>

#include "range_coder.h"
#include "small_floats.h"
#include "vector_types.h"

/* ---- products and rotations ---- */

/* int16 [rows, stride] times int16 [stride]. No sum may exceed 31 bits. */
static void vector_products(const int16_t *matrix, int rows, int stride, const int16_t *x, int32_t *out) {
    int row = 0;
    for (; row + 4 <= rows; row += 4) {
        const int16_t *a = matrix + (size_t)row * (size_t)stride, *b = a + stride, *c = b + stride, *d = c + stride;
        int32_t of_a = 0, of_b = 0, of_c = 0, of_d = 0;
        for (int i = 0; i < stride; i++) {
            of_a += a[i] * x[i];
            of_b += b[i] * x[i];
            of_c += c[i] * x[i];
            of_d += d[i] * x[i];
        }
        out[row] = of_a;
        out[row + 1] = of_b;
        out[row + 2] = of_c;
        out[row + 3] = of_d;
    }
    for (; row < rows; row++) {
        const int16_t *a = matrix + (size_t)row * (size_t)stride;
        int32_t of_a = 0;
        for (int i = 0; i < stride; i++) of_a += a[i] * x[i];
        out[row] = of_a;
    }
}

/* Hadamard's transform of 2^log numbers in place, without its scale. Sums wrap around. */
static void hadamard(uint32_t *x, int log) {
    const int n = 1 << log;
    int half = 1;
    if (log & 1) {
        for (int i = 0; i < n; i += 2) {
            const uint32_t a = x[i], b = x[i + 1];
            x[i] = a + b;
            x[i + 1] = a - b;
        }
        half = 2;
    }
    for (; half < n; half *= 4)
        for (int begin = 0; begin < n; begin += 4 * half) {
            uint32_t *p = x + begin, *q = p + half, *r = q + half, *s = r + half;
            for (int i = 0; i < half; i++) {
                const uint32_t a = p[i] + q[i], b = p[i] - q[i], c = r[i] + s[i], d = r[i] - s[i];
                p[i] = a + c;
                q[i] = b + d;
                r[i] = a - c;
                s[i] = b - d;
            }
        }
}

INLINE int32_t scaled(int32_t x, uint32_t scale) { return (int32_t)(((int64_t)x * scale + ((int64_t)1 << 30)) >> 31); }

static void hadamard_scaled(const VectorSpace *space, int32_t *x) {
    hadamard((uint32_t *)x, space->block_log);
    for (int i = 0; i < 1 << space->block_log; i++) x[i] = scaled(x[i], space->block_scale);
}

static void flip(int32_t *x, const int32_t *signs, int n) {
    for (int i = 0; i < n; i++) x[i] = (int32_t)(((uint32_t)x[i] ^ (uint32_t)signs[i]) - (uint32_t)signs[i]);
}

/* Signs and a transform of the first numbers, then of the last, unless they are the same. */
static void rotate(const VectorSpace *space, int32_t *x_D) {
    const int dims = space->dims, n = 1 << space->block_log;
    flip(x_D, space->signs_2D, dims);
    hadamard_scaled(space, x_D);
    if (n == dims) return;
    flip(x_D, space->signs_2D + dims, dims);
    hadamard_scaled(space, x_D + dims - n);
}

static void rotate_back(const VectorSpace *space, int32_t *x_D) {
    const int dims = space->dims, n = 1 << space->block_log;
    if (n != dims) {
        hadamard_scaled(space, x_D + dims - n);
        flip(x_D, space->signs_2D + dims, dims);
    }
    hadamard_scaled(space, x_D);
    flip(x_D, space->signs_2D, dims);
}

/* ---- from levels to numbers ---- */

/* Proportional to the vector that levels stand for; at most 2^31 long. The levels' squares add up to MOST_LEVEL_ENERGY at
 * most. */
static void vector_sums(const VectorSpace *space, const VectorStep *step, VectorWork *work) {
    const int dims = space->dims;
    if (!space->forward_LD) {
        const int shift = 15 - (space->block_log + 1) / 2;
        for (int i = 0; i < dims; i++) work->rotated_D[i] = work->level_L[i] * (1 << shift);
        rotate_back(space, work->rotated_D);
        for (int i = 0; i < dims; i++) work->sum_D[i] = work->rotated_D[i];
        return;
    }
    vector_products(space->inverse_DL, dims, space->latents_stride, work->level_L, work->product_D);
    for (int i = 0; i < dims; i++)
        work->sum_D[i] = work->product_D[i] + ((space->mean_D[i] * (int64_t)step->mean_factor) >> 31);
}

static uint64_t square_root(uint64_t n) {
    uint64_t root = (uint64_t)sqrt((double)n);
    while (root * root > n) root--;
    while ((root + 1) * (root + 1) <= n) root++;
    return root;
}

/* Writes numbers; returns 0, or -1 where the levels stand for no direction. The norm is mantissa * 2^(exponent - 16). */
static int write_vector(const VectorSpace *space, const VectorStep *step, VectorWork *work, NumberType type, uint32_t mantissa,
                        int exponent, void *out) {
    const int dims = space->dims;
    vector_sums(space, step, work);
    const int64_t *sum_D = work->sum_D;
    uint64_t energy = 0;
    for (int i = 0; i < dims; i++) energy += (uint64_t)sum_D[i] * (uint64_t)sum_D[i];
    if (energy == 0) return -1;
    const int even = __builtin_clzll(energy) & ~1; /* energy < 2^63 */
    const int raised = even - 2;
    const uint64_t root = square_root(raised >= 0 ? energy << raised : energy >> 2); /* 2^30 to 2^31 */
    const uint64_t factor = ((((uint64_t)1 << 61) / root) * mantissa) >> 17;
    /* of a number: sum / sqrt(energy) * norm = sum * factor * 2^scale */
    const int scale = exponent - 16 + 17 - 61 + raised / 2;
    if (type == TO_FLOAT32) {
        const float power = (float)ldexp(1, scale);
        for (int i = 0; i < dims; i++) ((float *)out)[i] = (float)(int64_t)((uint64_t)sum_D[i] * factor) * power;
    } else if (type == TO_FLOAT64) {
        const double power = ldexp(1, scale);
        for (int i = 0; i < dims; i++) ((double *)out)[i] = (double)(int64_t)((uint64_t)sum_D[i] * factor) * power;
    } else {
        for (int i = 0; i < dims; i++) {
            const int64_t product = (int64_t)((uint64_t)sum_D[i] * factor);
            const int negative = product < 0;
            const uint64_t size = (uint64_t)(negative ? -product : product);
            ((uint16_t *)out)[i] = type == TO_FLOAT16 ? float16_bits(negative, size, scale) : bfloat16_bits(negative, size, scale);
        }
    }
    return 0;
}

/* ---- the trellis, and what the coder expects ---- */

INLINE int union_of(int state) { return (state >> 1 ^ state >> 3) & 1; }

INLINE int next_state(int state, int index) {
    return (state << 1 | ((index ^ state ^ state >> 5) & 1)) & (TRELLIS_STATES - 1);
}

/* In half-steps. The first union has the even ones, the second the odd ones; with zero in it its others are by turns on
 * either side of it in its two subsets. */
INLINE int32_t level_of(int32_t index, int of_union, int with_zero) {
    return 2 * index + (of_union ? (with_zero ? (index < 0) - (index > 0) : 1) : 0);
}

/* What is expected of an index, but for the union. */
typedef struct {
    int class, shift; /* low bits of an index that are coded as they are */
} Expected;

INLINE Expected expected_index(const VectorSpace *space, const VectorStep *step, int i, int32_t energy) {
    int32_t deviation = step->deviation_L[i];
    if (space->gain_L) {
        const int length = 31 - __builtin_clz((uint32_t)energy | 1);
        const uint32_t above = length >= 6 ? (uint32_t)energy >> (length - 6) : (uint32_t)energy << (6 - length);
        deviation += ((length - ENERGY_BITS) * OCTAVE + space->tables->log_of[above & 63]) >> 1;
    }
    const int unit = OCTAVE / CLASSES_AN_OCTAVE;
    int class = (deviation - LEAST_CLASS_LOG + unit / 2) >> 5, shift = 0;
    if (class < 0) class = 0;
    if (class >= TABLE_CLASSES) {
        shift = (class - TABLE_CLASSES + CLASSES_AN_OCTAVE) >> 3;
        class -= shift * CLASSES_AN_OCTAVE;
    }
    return (Expected){class, shift};
}

INLINE const IndexTable *table_of(const VectorSpace *space, Expected expected, int of_union, int with_zero) {
    return &space->tables->tables[expected.shift ? 1 : with_zero * 2 + of_union][expected.class];
}

INLINE int32_t followed(const VectorSpace *space, const VectorStep *step, int i, int32_t energy, uint64_t level_energy) {
    if (!space->gain_L) return energy;
    uint64_t ratio = (level_energy * step->energy_L[i]) >> step->energy_shift_L[i];
    if (ratio > MOST_ENERGY) ratio = MOST_ENERGY;
    return energy + (int32_t)((((int64_t)ratio - energy) * space->gain_L[i]) >> 16);
}

/* ---- the stream ---- */

static void encode_index(RangeCoder *coder, const IndexTable *table, int shift, int32_t index) {
    const int32_t high = index >> shift;
    const int most = table->most, escaped = high < -most || high > most;
    const int symbol = escaped ? 2 * most + 1 : high + most;
    const uint32_t before = table->sums[symbol];
    encode_symbol(coder, before, table->sums[symbol + 1] - before, 1 << SYMBOL_BITS);
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

/* ---- quantisation ---- */

INLINE float bits_of(const IndexTable *table, int shift, int32_t index) {
    enum { ESCAPE = 20 }; /* more or less */
    const int32_t high = index >> shift;
    const int inside = high >= -table->most && high <= table->most;
    return table->bits[inside ? high + table->most : 2 * table->most + 1] + (float)(inside ? shift : shift + ESCAPE);
}

/* Of one parity of a union's indices the one that costs least; returns its cost. */
static float cheapest(float x, const IndexTable *table, int shift, int of_union, int with_zero, int parity, float weight,
                      int32_t *chosen) {
    const float at = (x - (of_union && !with_zero ? 1.0f : 0.0f)) * 0.5f;
    const int32_t nearest = (int32_t)floorf((at - (float)parity) * 0.5f + 0.5f) * 2 + parity;
    float least = 0;
    for (int try = 0; try < 2; try++) {
        const int32_t index = try == 0 ? nearest : nearest > 0 ? nearest - 2 : nearest + 2;
        const float away = x - (float)level_of(index, of_union, with_zero);
        const float cost = away * away + weight * bits_of(table, shift, index);
        if (try == 0 || cost < least) {
            least = cost;
            *chosen = index;
        }
    }
    return least;
}

/* The nearest index of each union and parity, and how far away it is, squared; where the second union is without zero. */
static void find_candidates(const VectorSpace *space, VectorWork *work) {
    static const float level[4] = {0, 2, 1, 3};
    const int latents = space->latents;
    const float round = 12582912; /* 1.5 * 2^23: adding it rounds to an integer */
    for (int c = 0; c < 4; c++) {
        float *away_L = work->away_4L + (size_t)c * (size_t)latents;
        int32_t *index_L = work->candidate_4L + (size_t)c * (size_t)latents;
        const int parity = c & 1;
        for (int i = 0; i < latents; i++) {
            const float x = work->scaled_L[i];
            const float fours = ((x - level[c]) * 0.25f + round) - round;
            const float away = x - (4 * fours + level[c]);
            index_L[i] = 2 * (int32_t)fours + parity;
            away_L[i] = away * away;
        }
    }
}

/* What each candidate costs: of the four subsets, twice, [L, 8]. Expects of each number what the exact ones before it, not
 * their levels, say. */
static void find_costs(const VectorSpace *space, const VectorStep *step, VectorWork *work, float weight) {
    enum { FEW = 4 * CLASSES_AN_OCTAVE }; /* below, deviations are so small that another index than the nearest may pay */
    const int latents = space->latents;
    int32_t energy = 1 << ENERGY_BITS;
    for (int i = 0; i < latents; i++) {
        const float x = work->scaled_L[i];
        const int with_zero = step->with_zero_L[i];
        const Expected expected = expected_index(space, step, i, energy);
        float *cost = work->cost_8L + 8 * (size_t)i;
        for (int c = 0; c < 4; c++) {
            const IndexTable *table = table_of(space, expected, c >> 1, with_zero);
            const size_t at = (size_t)c * (size_t)latents + (size_t)i;
            int32_t *index = &work->candidate_4L[at];
            cost[c] = with_zero || expected.class < FEW
                          ? cheapest(x, table, expected.shift, c >> 1, with_zero, c & 1, weight, index)
                          : work->away_4L[at] + weight * bits_of(table, expected.shift, *index);
            cost[c + 4] = cost[c];
        }
        energy = followed(space, step, i, energy, (uint64_t)(int64_t)(4 * x * x + 1));
    }
}

typedef float Lanes __attribute__((vector_size(32)));
typedef int32_t Places __attribute__((vector_size(32)));
#if defined(__clang__)
#define SHUFFLED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED(a, b, ...) __builtin_shuffle(a, b, (Places){__VA_ARGS__})
#endif

#if defined(PATH_AVX512) || defined(PATH_AVXVNNI) || defined(PATH_AVX2)
#define LESSER(a, b) ((Lanes)_mm256_min_ps((__m256)(a), (__m256)(b)))
#else
#define LESSER(a, b) ((Lanes)(((Places)(a) & ((a) <= (b))) | ((Places)(b) & ~((a) <= (b)))))
#endif

/* The levels that cost least on a way through the trellis. From state s bit u leads to 2 s + u, so to 2 m and 2 m + 1 from m
 * and m + HALF: from one of the two by an index of one parity, from the other by one of the other. */
static void quantise(const VectorSpace *space, const VectorStep *step, VectorWork *work, float weight) {
    enum { HALF = TRELLIS_STATES / 2, WIDTH = 8 };
    const int latents = space->latents;
    find_candidates(space, work);
    find_costs(space, step, work, weight);
    float *before = work->path_SL;
    for (int s = 0; s < TRELLIS_STATES; s++) before[s] = s ? 1e30f : 0;
    for (int i = 0; i < latents; i++) {
        Lanes cost, from[2 * HALF / WIDTH];
        memcpy(&cost, work->cost_8L + 8 * (size_t)i, sizeof cost);
        memcpy(from, before, sizeof from);
        before += TRELLIS_STATES;
        const Lanes one_of[2] = {cost, SHUFFLED(cost, cost, 2, 3, 0, 1, 6, 7, 4, 5)};
        const Lanes other_of[2] = {SHUFFLED(cost, cost, 1, 0, 3, 2, 5, 4, 7, 6), SHUFFLED(cost, cost, 3, 2, 1, 0, 7, 6, 5, 4)};
        for (int block = 0; block < HALF / WIDTH; block++) {
            const Lanes one = one_of[block & 1], other = other_of[block & 1];
            const Lanes low = from[block], high = from[block + HALF / WIDTH];
            const Lanes a = low + one, b = high + other, c = low + other, d = high + one;
            const Lanes even = LESSER(a, b), odd = LESSER(c, d);
            const Lanes to[2] = {SHUFFLED(even, odd, 0, 8, 1, 9, 2, 10, 3, 11), SHUFFLED(even, odd, 4, 12, 5, 13, 6, 14, 7, 15)};
            memcpy(before + 2 * WIDTH * block, to, sizeof to);
        }
    }
    int state = 0;
    for (int s = 1; s < TRELLIS_STATES; s++)
        if (before[s] < before[state]) state = s;
    for (int i = latents - 1; i >= 0; i--) {
        before -= TRELLIS_STATES;
        const int low = state >> 1, high = low + HALF, u = union_of(low);
        const float *cost = work->cost_8L + 8 * (size_t)i + 2 * u;
        const int parity = (low ^ state) & 1; /* of the index that leads here from `low` */
        const int from_low = before[low] + cost[parity] <= before[high] + cost[parity ^ 1];
        const int taken = from_low ? parity : parity ^ 1;
        state = from_low ? low : high;
        work->used_L[i] = (uint8_t)u;
        work->index_L[i] = work->candidate_4L[(size_t)(2 * u + taken) * (size_t)latents + (size_t)i];
        work->level_L[i] = (int16_t)level_of(work->index_L[i], u, step->with_zero_L[i]);
    }
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
    return finish_encoder(&coder);
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
